"""The way of traces through a fault: what clients' exporters sent late, never sent, or gave up.

No user waits for an export, so these calls are in no figure of the users' own. The exporter keeps
what it cannot send, and tries again after 0, 4, 8, 16 … s; while all of its workers wait like that,
everything else waits, too. So the way is *restored* when what was kept has been sent: from the
first of ten seconds in a row on, up to the healing at least, in which every export that was due
succeeded, nothing was dropped, and no more waited to be sent than 1.5 times the most before the
faults, and a trace for each process.

*Dropped* is what the client threw away, as its queue was full or it had to end: it was never sent,
so it is no loss of the server's. It counts among the exports that failed, which have an objective.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from workloads.history.history import DROPPED
from workloads.history.record import Record
from workloads.verdict.result import TracePath

SECONDS = 10
SECOND_NS = 1_000_000_000
MORE = 1.5
A_TRACE = 10
"""Spans that a process may just have made."""


class Export(Protocol):
    """A call as `availability.Call` has it."""

    @property
    def due(self) -> int:
        """When it was there to be sent, in ns."""

    @property
    def ok(self) -> bool:
        """Whether it succeeded in the end."""

    @property
    def saw(self) -> tuple[str, ...]:
        """What went wrong on the way."""


@dataclass(frozen=True)
class Unsent:
    """What waits to be sent, of each process: times in ns and numbers, in their order."""

    by_process: Mapping[int, list[tuple[int, int]]] = field(default_factory=dict)

    def most(self, begin: int, end: int) -> list[int]:
        """The most that waited in each whole second between two times, in all processes."""
        seconds = [0] * max(0, (end - begin) // SECOND_NS)
        for samples in self.by_process.values():
            own: list[int | None] = [None] * len(seconds)
            before = 0
            for at, number in samples:
                second = (at - begin) // SECOND_NS
                if second < 0:
                    before = number
                elif second < len(own):
                    own[second] = max(number, own[second] or 0)
            for second, most in enumerate(own):
                before = before if most is None else most
                seconds[second] += before
        return seconds


@dataclass(frozen=True)
class Traces:
    """What is known of a run's traces on their way; `limit` is of what may wait to be sent."""

    exports: Sequence[Export]
    unsent: Unsent
    dropped: list[dict[str, Any]]
    limit: float


def traces(record: Record, exports: Sequence[Export], zero: int, faults_ns: int) -> Traces | None:
    """Read it from a record; times in ns: its figures begin at `zero`. None: without traces."""
    dropped = record.other.get(DROPPED, [])
    if not exports and not dropped:
        return None
    by_process: dict[int, list[tuple[int, int]]] = {}
    for line in record.other.get("sample", []):
        by_process.setdefault(line["process"], []).append((line["mono_ns"], line.get("unsent", 0)))
    unsent = Unsent(by_process)
    most = max(unsent.most(zero, faults_ns), default=0)
    return Traces(exports, unsent, dropped, MORE * most + A_TRACE * len(by_process))


def restored_s(known: Traces, begin: int, end: int, healed: int | None) -> float | None:
    """Seconds from `begin` until the way is restored; None: it is not by `end`. Times in ns."""
    waiting = known.unsent.most(begin, end)
    bad = {second for second, number in enumerate(waiting) if number > known.limit}
    bad |= {(one.due - begin) // SECOND_NS for one in known.exports if not one.ok}
    bad |= {(line["mono_ns"] - begin) // SECOND_NS for line in known.dropped}
    first = 0
    for second in range(len(waiting)):
        if second in bad:
            first = second + 1
            continue
        over = begin + (second + 1) * SECOND_NS
        if second + 1 - first >= SECONDS and (healed is None or over >= healed):
            return float(first)
    return None


def figures(
    known: Traces, begin: int, end: int, healed: int | None, *, last: bool, limit_s: float
) -> TracePath:
    """What became of traces in a fault, until the next one; `last`: there is no next one."""
    restored = restored_s(known, begin, end, healed)
    over = end
    if restored is not None and healed is not None:
        over = max(healed, begin + int(restored * SECOND_NS))
    due = [one for one in known.exports if begin <= one.due < end]
    own = [one for one in due if one.due < over or not one.ok or one.saw]
    dropped = [x for x in known.dropped if begin <= x["mono_ns"] and (last or x["mono_ns"] < end)]
    after = None
    if restored is not None and healed is not None:
        after = max(0.0, restored - (healed - begin) / SECOND_NS)
    return TracePath(
        exports=len(own),
        failed=sum(not one.ok for one in own),
        succeeded_after_retry=sum(one.ok and bool(one.saw) for one in own),
        dropped_exports=sum(line["count"] for line in dropped),
        dropped_spans=sum(line["spans"] for line in dropped),
        dropped_traces=_traces(dropped),
        client_errors=dict(Counter(word for one in own for word in one.saw).most_common()),
        most_unsent=max(known.unsent.most(begin, end), default=0),
        recovered_s=restored,
        recovery_time_s=after,
        recovery_time_limit_s=limit_s,
    )


def _traces(dropped: Iterable[dict[str, Any]]) -> int:
    return sum(line["count"] for line in dropped if line["what"] == "trace")
