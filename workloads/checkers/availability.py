"""What users noticed of each fault: recovery time, longest gap, failed calls, what they saw.

- *Recovery*: from the injection to the begin of the first of ten 1 s windows in a row in which
  at least 99.9 % of the calls succeeded and the p95 was at most 1.5 times the baseline's. The load
  is open, so a window's calls are those that were planned in it, with all of their waiting, and a
  throughput of 95 % of the baseline's follows from the first condition. At some 20 calls a second
  the p95 of one second is nearly its slowest call: it is compared with the highest p95 of the
  seconds before the faults, not with the p95 of all calls, and may exceed that by what the gates
  let the generator itself add.
- *Longest gap*: the longest time between two answers to a probe of 20 reads a second
  (`observation/probe.py`), from the last one before the injection on.
"""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from workloads.checkers.validity import LAG_LIMIT_MS, SCHEDULE_LIMIT_MS
from workloads.faults.registry import FAULTS
from workloads.history import Operation, operations
from workloads.plan import Plan
from workloads.record import Record, load
from workloads.result import FaultFigures, Gate, Resilience
from workloads.scenarios.resilience import ResilienceParameters

WINDOWS = 10
WINDOW_NS = 1_000_000_000
SUCCESS = 0.999
SLOWER = 1.5
OWN_MS = LAG_LIMIT_MS + SCHEDULE_LIMIT_MS


@dataclass(frozen=True)
class Call:
    """A call as a user has it; `due` and `ended` in ns, `ended` None: it never was."""

    due: int
    ended: int | None
    ok: bool
    saw: tuple[str, ...] = ()
    """What went wrong on the way, answers that a retry mended included."""


@dataclass(frozen=True)
class Period:
    """A fault from its injection to the next one's, in ns."""

    fault: str
    component: str | None
    begin: int
    end: int
    in_effect: int | None
    healed: int | None
    failed: str | None


def judge(path: Path, record: Record) -> Resilience | None:
    """Return what each fault of a run did; None for a run without any."""
    if not record.plan.faults:
        return None
    calls = [*_calls(operations(path)), *_unserved(record)]
    looks = [tuple(look) for line in record.other.get("probe", []) for look in line["looks"]]
    answered = np.sort([sent + ms * 1e6 for sent, ms, error in looks if error is None])
    window = next((w for w in record.windows if w.stage.goes_on), None)
    before = [c for c in calls if window and window.begin_ns <= c.due < window.end_ns]
    begin = window.begin_ns if window else 0
    seconds = [_p95(group) for group in _windows(before, begin, window.end_ns if window else 0)]
    limit_ms = max((s for s in seconds if s is not None), default=None)
    periods = list(_periods(record, looks, calls))
    faults = [
        _figures(record.plan, period, calls, looks, answered, limit_ms, begin) for period in periods
    ]
    return Resilience(
        baseline_rate=sum(c.ok for c in before) / window.seconds if window else 0.0,
        baseline_p95_ms=limit_ms,
        faults=faults,
        gates=[_took(record.plan, periods), _enough(record.plan, before, window), _probed(looks)],
    )


def as_before(path: Path) -> bool:
    """Whether all is as before the last fault, by the history of a run that still goes on."""
    found = judge(path, load(path))
    return found is not None and bool(found.faults) and found.faults[-1].recovery_s is not None


def recovery_s(calls: list[Call], begin: int, end: int, limit_ms: float) -> float | None:
    """Seconds from `begin` to the first of ten good windows in a row; None: not by `end` (ns)."""
    row = 0
    for number, group in enumerate(_windows(calls, begin, end)):
        row = row + 1 if _good(group, limit_ms) else 0
        if row == WINDOWS:
            return float(number + 1 - WINDOWS)
    return None


def longest_gap_s(answered: Iterable[float], begin: int, end: int) -> float:
    """Longest time without an answer, in s; `answered` are times in ns, in order.

    It begins with the last answer before `begin`, and ends with the first one after `end`, where
    there are such.
    """
    times = np.asarray(list(answered))
    first = times[times <= begin][-1:]
    last = times[times >= end][:1]
    inside = times[(times > begin) & (times < end)]
    edges = [*(first if len(first) else [begin]), *inside, *(last if len(last) else [end])]
    return float(np.diff(edges).max() / 1e9)


def said(error: str) -> str:
    """Sort what a call saw: a status, or the kind of a connection's error."""
    if status := re.match(r"(?:HTTP )?(\d{3})\b", error):
        return f"HTTP {status[1]}"
    for pattern in (
        r"\] (Connection \w+|No route to host|Network is unreachable)",
        r"\b(timed out)",
    ):
        if found := re.search(pattern, error):
            return found[1][0].upper() + found[1][1:]
    if found := re.search(r"\b(\w+(?:Disconnected|Timeout|TimeoutError|ResetError|Read))\b", error):
        return found[1]
    return error.split(":", 1)[0][:60]


def _calls(found: Iterable[Operation]) -> Iterable[Call]:
    for one in found:
        if one.type == "call":
            saw = [*one.retries, *([one.error or "no answer"] if one.outcome != "ok" else [])]
            due = one.invoked_ns if one.planned_ns is None else one.planned_ns
            yield Call(due, one.completed_ns, one.outcome == "ok", tuple(map(said, saw)))


def _unserved(record: Record) -> Iterable[Call]:
    """Planned calls that were never begun, as every user waited for an answer."""
    for line in record.other.get("unserved", []):
        for planned in line["planned_ns"]:
            yield Call(planned, None, False, ("never begun, every user was waiting",))


def _windows(calls: list[Call], begin: int, end: int) -> list[list[Call]]:
    """Calls by the whole seconds from `begin` to `end` in which they were due."""
    groups: list[list[Call]] = [[] for _ in range((end - begin) // WINDOW_NS)]
    for call in calls:
        number = (call.due - begin) // WINDOW_NS
        if 0 <= number < len(groups):
            groups[number].append(call)
    return groups


def _good(group: list[Call], limit_ms: float) -> bool:
    p95 = _p95(group)
    if p95 is None or sum(call.ok for call in group) < SUCCESS * len(group):
        return False
    return p95 <= SLOWER * limit_ms + OWN_MS


def _p95(group: list[Call]) -> float | None:
    took = [(c.ended - c.due) / 1e6 for c in group if c.ok and c.ended is not None]
    return float(np.percentile(took, 95)) if took else None


def _periods(record: Record, looks: list[Any], calls: list[Call]) -> Iterable[Period]:
    lines = record.other.get("fault", [])
    starts = [i for i, line in enumerate(lines) if line["state"] in ("injecting",)]
    last = max([c.due for c in calls] + [sent for sent, _, _ in looks], default=0) + 1
    for start, after in zip(starts, [*starts[1:], len(lines)], strict=True):
        own = {line["state"]: line for line in reversed(lines[start:after])}
        first = lines[start]
        yield Period(
            fault=first["fault"],
            component=first["component"],
            begin=first["mono_ns"],
            end=lines[after]["mono_ns"] if after < len(lines) else max(last, first["mono_ns"]),
            in_effect=own["in effect"]["mono_ns"] if "in effect" in own else None,
            healed=own["healed"]["mono_ns"] if "healed" in own else None,
            failed=own["failed"].get("why", "it failed") if "failed" in own else None,
        )


def _figures(
    plan: Plan,
    period: Period,
    calls: list[Call],
    looks: list[Any],
    answered: Any,
    limit_ms: float | None,
    zero: int,
) -> FaultFigures:
    aims = ResilienceParameters.model_validate(
        {k: v for k, v in plan.parameters.items() if k in ResilienceParameters.model_fields}
    )
    fault = FAULTS[period.fault]
    struck = [c for c in calls if period.begin <= c.due < period.end]
    probes = [(ms, error) for sent, ms, error in looks if period.begin <= sent < period.end]
    recovered = None
    if limit_ms is not None:
        recovered = recovery_s(calls, period.begin, period.end, limit_ms)
    healed_s = None if period.healed is None else (period.healed - period.begin) / 1e9
    after = None
    if recovered is not None and healed_s is not None:
        after = max(0.0, recovered - healed_s)
    own = fault.longest_gap_s(plan.target) if plan.target else fault.gap_s
    return FaultFigures(
        fault=period.fault,
        component=period.component,
        begin_s=(period.begin - zero) / 1e9,
        in_effect_s=None if period.in_effect is None else (period.in_effect - period.begin) / 1e9,
        healed_s=healed_s,
        watched_s=(period.end - period.begin) / 1e9,
        recovery_s=recovered,
        served_s=after,
        served_limit_s=aims.served_s,
        gap_s=longest_gap_s(answered, period.begin, period.end),
        gap_limit_s=own if aims.gap_s is None else aims.gap_s,
        longest_probe_s=max((ms for ms, _ in probes), default=0.0) / 1000,
        failed_probes=sum(error is not None for _, error in probes),
        calls=len(struck),
        failed=sum(not c.ok for c in struck),
        failed_share_limit=aims.failed_share,
        mended=sum(c.ok and bool(c.saw) for c in struck),
        saw=dict(Counter(word for c in struck for word in c.saw).most_common()),
        why_failed=period.failed,
    )


def _took(plan: Plan, periods: list[Period]) -> Gate:
    good = [p for p in periods if p.in_effect and p.healed and p.failed is None]
    bad = next((p for p in periods if p.failed), None)
    said = f"{len(good)} of {len(plan.faults)}"
    return Gate(
        name="faults in effect and healed",
        limit="every one, as it was seen",
        measured=f"{said}; {bad.fault}: {bad.failed}" if bad else said,
        passed=len(good) == len(plan.faults),
        remedy="See what the fault needs with `faults --stack`, and whether the stack is whole.",
    )


def _enough(plan: Plan, before: list[Call], window: Any) -> Gate:
    rate = sum(c.ok for c in before) / window.seconds if window else 0.0
    return Gate(
        name="throughput before the faults",
        limit=f"≥ {plan.objectives.min_rate:g} calls/s",
        measured=f"{rate:.1f} calls/s",
        passed=rate >= plan.objectives.min_rate,
        remedy="Where nearly nothing is asked, nothing can be seen to fail: give a higher --rate.",
    )


def _probed(looks: list[Any]) -> Gate:
    """The probe itself must not have stood still: its gaps would be taken for the server's."""
    sent = np.sort([look[0] for look in looks])
    worst = float(np.diff(sent).max() / 1e9) if len(sent) > 1 else float("inf")
    return Gate(
        name="probe on time",
        limit="≤ 0.25 s between two probes",
        measured=f"{worst:.2f} s at most" if len(sent) > 1 else "no probes",
        passed=worst <= 0.25,
        remedy="This machine is too busy to measure: end other work on it.",
    )
