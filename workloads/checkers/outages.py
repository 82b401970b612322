"""The longest outage of each path, from the probes of it.

Probes are a time apart (`workloads.target.probe_paths.RATES`), and between two of them nothing is
known. So an outage has two figures: the time between two answers, which it cannot exceed, and the
time from the first probe without an answer until the last one was given up, or answered after all,
which it cannot fall short of.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workloads.history.record import Record
from workloads.target.probe_paths import RATES, ProbePath
from workloads.verdict.result import Gate, Outage

AROUND_NS = 60 * 10**9
"""How far beyond a time its last and first answers are looked for."""

LATE_S = 0.2
"""What two probes may be further apart than planned."""


class Probe(NamedTuple):
    """A probe: when it was sent, in ns, how long it took, and what went wrong."""

    sent: int
    ms: float
    error: str | None

    @property
    def ended(self) -> float:
        """When it was answered or given up, in ns."""
        return self.sent + self.ms * 1e6


@dataclass(frozen=True)
class Probes:
    """The probes of a path in the order in which they were sent, known up to `until`.

    Times are in ns. A probe that was under way then is not known.
    """

    sent_probes: list[Probe]
    until: int


def probes(record: Record) -> dict[ProbePath, Probes]:
    """Return the probes of a run by path."""
    by_path: dict[ProbePath, list[Probe]] = {}
    until: dict[ProbePath, int] = {}
    for line in record.other.get("probe", []):
        path = ProbePath(line.get("path", ProbePath.READ))  # the only one of earlier versions
        by_path.setdefault(path, []).extend(Probe(*probe) for probe in line["looks"])
        until[path] = line["mono_ns"]
    return {path: Probes(sorted(sent_probes), until[path]) for path, sent_probes in by_path.items()}


def longest(own: Probes, begin: int, end: int, *, affected: bool) -> Outage:
    """Return the figures of one path's probes between two times in ns."""
    during = _sent(own.sent_probes, begin, end)
    at_least, at_most = longest_s(own.sent_probes, begin, max(begin, min(end, own.until)))
    return Outage(
        at_least_s=at_least,
        at_most_s=at_most,
        affected=affected,
        longest_probe_s=max((probe.ms for probe in during), default=0.0) / 1000,
        probes=len(during),
        failed=sum(probe.error is not None for probe in during),
    )


def longest_s(sent_probes: list[Probe], begin: int, end: int) -> tuple[float, float]:
    """Least and most that the longest outage can have been, in s.

    It begins with the last answer before `begin`, and ends with the first one after `end`, where
    there are such.
    """
    asked = _sent(sent_probes, begin - AROUND_NS, end + AROUND_NS)
    times = _answers(asked, begin, end)
    intervals = np.diff(times)
    at_least = 0.0
    for number in np.argsort(-intervals, kind="stable"):
        if intervals[number] <= at_least:
            break
        begun, over = times[number], times[number + 1]
        at_least = max(at_least, _certain(_sent(asked, begun + 1, over), over))
    return float(at_least / 1e9), float(intervals.max() / 1e9)


def _sent(sent_probes: list[Probe], begin: float, end: float) -> list[Probe]:
    """Those that were sent from `begin` on, before `end`."""
    first, last = (
        bisect_left(sent_probes, at, key=lambda probe: probe.sent) for at in (begin, end)
    )
    return sent_probes[first:last]


def _certain(within: list[Probe], over: float) -> float:
    """How long a probe certainly waited in an interval that ended at `over`, in ns.

    From one refusal to the next nothing was answered. From the last refusal to a later answer that
    is only certain if a probe waited all the time.
    """
    refused = [probe for probe in within if probe.error is not None]
    held = [over - probe.sent for probe in within if probe.error is None]
    waited = max(held, default=0.0)
    if not refused:
        return waited
    first, last = refused[0].sent, min(over, max(probe.ended for probe in refused))
    if held and over - waited <= last:
        return over - min(first, over - waited)
    return max(waited, last - first)


def _answers(asked: list[Probe], begin: int, end: int) -> NDArray[Any]:
    """When answers came from `begin` to `end`, with those around; the ends where there is none."""
    times = np.sort([probe.ended for probe in asked if probe.error is None])
    first = times[times <= begin][-1:]
    last = times[times >= end][:1]
    inside = times[(times > begin) & (times < end)]
    edges = [*(first if len(first) else [begin]), *inside, *(last if len(last) else [end])]
    return np.array(edges, dtype=float)


def on_time(by_path: Mapping[ProbePath, Probes]) -> Gate:
    """Whether probes were sent on time: a pause of theirs would be taken for an outage."""
    late = {
        path: float(np.diff([probe.sent for probe in own.sent_probes]).max() / 1e9)
        - 1 / RATES[path]
        for path, own in by_path.items()
        if len(own.sent_probes) > 1
    }
    worst = max(late, key=lambda path: late[path], default=None)
    return Gate(
        name="probe on time",
        limit=f"≤ {LATE_S:g} s late, on each path",
        measured=f"{late[worst]:.2f} s at most ({worst})" if worst else "no probes",
        passed=worst is not None and late[worst] <= LATE_S,
        remedy="This machine is too busy to measure: end other work on it.",
        one_sided=True,
    )
