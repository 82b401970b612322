"""What users noticed of each fault: recovery time, outages, failed calls, what they saw.

- *Recovery*: from the injection to the begin of the first of ten 1 s windows in a row, up to the
  healing at least, in which 99.9 % of the calls succeeded and the p95 was at most 1.5 times that
  before the faults, and in which every kind of operation was acknowledged that was before. The load
  is open, so a window's calls are those that were planned in it, with all of their waiting, and a
  throughput of 95 % of the baseline's follows from the first condition. The p95 before is that of
  all its calls together, as the upper bound of its 95 % confidence interval; a window may be slower
  by what the gates let the generator itself add.
- *Failed share*: of the calls that were due until the fault was healed and service was restored,
  not of those that the run went on with.
- *Outages*: `workloads.checkers.outages`, for each path; a fault's objective is about those that it
  breaks.
- *Traces*: no user waits for an export of them, so those calls are in none of this but the outages'
  load: `workloads.checkers.trace_path` tells what became of them.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from workloads.checkers import kinds, outages, trace_path, validity
from workloads.checkers.kinds import Tried
from workloads.faults.catalogue import named
from workloads.history.record import NEVER, Record, Window, load
from workloads.history.tables import Tables, rows
from workloads.plan.plan import Plan
from workloads.scenarios.resilience import ResilienceParameters
from workloads.target.probe_paths import ProbePath, affected
from workloads.verdict import figures
from workloads.verdict.result import FaultFigures, Gate, KindFigures, Resilience

WINDOWS = 10
WINDOW_NS = 1_000_000_000
SUCCESS = 0.999
SLOWER = 1.5
_OPERATIONS = """
    select type, name, outcome, invoked_ns, completed_ns, retries, error,
        exporter, coalesce(planned_ns, invoked_ns) as due_ns
    from operation where type in ('call', 'step') order by number
"""

OWN_MS = validity.LAG_LIMIT_MS + validity.SCHEDULE_LIMIT_MS
"""What a generator that is on time may add to a response time."""


@dataclass(frozen=True)
class Call:
    """A call as a user has it; `due` and `ended` in ns, `ended` None: it never was."""

    due: int
    ended: int | None
    ok: bool
    saw: tuple[str, ...] = ()
    """What went wrong on the way, answers that a retry mended included."""
    exporter: bool = False
    """Whether a client's exporter of traces made it, for which no user waits."""


@dataclass(frozen=True)
class Period:
    """A fault from its injection to the next one's, in ns; `since`: from the last one's healing."""

    fault: str
    component: str | None
    since: int
    begin: int
    end: int
    in_effect: int | None
    healed: int | None
    failed: str | None
    last: bool


@dataclass(frozen=True)
class Seen:
    """All that is known of the load of a run, for each of its faults."""

    plan: Plan
    calls: list[Call]
    """Those that users wait for."""
    before: list[Call]
    """Those that were due before the faults."""
    probes: dict[ProbePath, outages.Probes]
    tried: list[Tried]
    limit_ms: float | None
    zero: int
    """When the figures before the faults began, in ns."""
    traces: trace_path.Traces | None
    """Exports of traces; None: the load has none."""


def judge(tables: Tables, record: Record) -> Resilience | None:
    """Return what each fault of a run did; None for a run without any."""
    if not record.plan.faults:
        return None
    seen, window, periods = _seen(record, *_load(tables))
    faults = [_figures(seen, period) for period in periods]
    around = [
        (period.fault, one.kinds)
        for period, one in zip(periods, faults, strict=True)
        if period.healed and period.failed is None
    ]
    rate = _rate(seen, window) if window else 0.0
    return Resilience(
        baseline_rate=rate,
        baseline_p95_ms=seen.limit_ms,
        faults=faults,
        gates=[
            _took(record.plan, periods),
            _enough(record.plan, rate),
            kinds.gate(around),
            outages.on_time(seen.probes),
            *_on_time(record, window, periods),
        ],
    )


def _rate(seen: Seen, window: Window) -> float:
    """Calls/s that succeeded before the faults, exports with them."""
    exports = seen.traces.exports if seen.traces else []
    within = [c for c in exports if seen.zero <= c.due < window.end_ns]
    return sum(c.ok for c in (*seen.before, *within)) / window.seconds


def service_restored(path: Path) -> bool:
    """Whether service is restored after the last fault of a run that still goes on.

    By the record alone: tables take every core, which the measured stack may need.
    """
    record = load(path)
    seen, _, periods = _seen(record, *_recorded(record))
    if not periods:
        return False
    last = periods[-1]
    around = _around(seen, last)
    recovered = _recovered(seen, last, around)
    if (
        seen.traces
        and trace_path.restored_s(seen.traces, last.begin, last.end, last.healed) is None
    ):
        return False
    return recovered is not None and all(of.attempted_after for of in around.values())


def _seen(
    record: Record, answered: list[Call], tried: list[Tried]
) -> tuple[Seen, Window | None, list[Period]]:
    """Return what is known of a run's load, the window before its faults, and they."""
    calls = [*(c for c in answered if not c.exporter), *_unserved(record)]
    exports = [c for c in answered if c.exporter]
    probes = outages.probes(record)
    window = next((w for w in record.windows if w.stage.goes_on), None)
    zero = window.begin_ns if window else 0
    before = [c for c in calls if window and zero <= c.due < window.end_ns]
    last = max([c.due for c in calls] + [own.until for own in probes.values()], default=0) + 1
    seen = Seen(
        record.plan,
        calls,
        before,
        probes,
        tried,
        upper_ms(_took_ms(before)),
        zero,
        trace_path.traces(record, exports, zero, window.end_ns if window else 0),
    )
    return seen, window, list(_periods(record, zero, last))


def upper_ms(took_ms: list[float]) -> float | None:
    """Upper end of the p95's 95 % interval, in ms; of so few values as have none, the largest."""
    high = figures.p95_interval(np.array(took_ms))[1]
    return max(took_ms, default=None) if high is None else high


def recovered_s(
    calls: list[Call],
    begin: int,
    end: int,
    limit_ms: float,
    *,
    healed: int | None = None,
    done: Iterable[Tried] = (),
    wanted: Collection[str] = (),
) -> float | None:
    """Seconds from `begin` to the first of ten good windows in a row; None: not by `end` (ns).

    They go on to `healed` at least, and until one of the operations `done` of each `wanted` kind
    was acknowledged after it.
    """
    groups = _windows(calls, begin, end)
    by_window: list[set[str]] = [set() for _ in groups]
    for one in done:
        if one.ok and one.ended is not None and one.begun >= (healed or begin):
            number = (one.ended - begin) // WINDOW_NS
            if number < len(groups):
                by_window[number].add(one.kind)
    first, seen = 0, set[str]()
    for number, group in enumerate(groups):
        if not _good(group, limit_ms):
            first, seen = number + 1, set()
            continue
        seen |= by_window[number]
        over = begin + (number + 1) * WINDOW_NS
        long_enough = number + 1 - first >= WINDOWS and (healed is None or over >= healed)
        if long_enough and seen.issuperset(wanted):
            return float(first)
    return None


def said(error: str) -> str:
    """Sort what a call saw: a status, or the kind of a connection's error."""
    if status := re.match(r"(?:HTTP )?(\d{3})\b", error):
        return f"HTTP {status[1]}"
    for pattern in (
        r"\] (Connection \w+|No route to host|Network is unreachable)",
        r"\b(timed out)",
    ):
        if match := re.search(pattern, error):
            return match[1][0].upper() + match[1][1:]
    if match := re.search(r"\b(\w+(?:Disconnected|Timeout|TimeoutError|ResetError|Read))\b", error):
        return match[1]
    return error.split(":", 1)[0][:60]


def _load(tables: Tables) -> tuple[list[Call], list[Tried]]:
    """Calls of a history, and operations of the kinds that are looked for."""
    calls, tried = [], []
    for row in rows(tables, _OPERATIONS):
        ok, ended = row["outcome"] == "ok", row["completed_ns"]
        if row["type"] == "call":
            saw = [*row["retries"], *([] if ok else [row["error"] or "no answer"])]
            calls.append(Call(row["due_ns"], ended, ok, tuple(map(said, saw)), row["exporter"]))
        if kind := kinds.kind_of(row["type"], row["name"]):
            tried.append(Tried(kind, row["invoked_ns"], ended, ok))
    return calls, tried


def _recorded(record: Record) -> tuple[list[Call], list[Tried]]:
    """The same of a record, which does not hold what the calls saw."""
    calls, tried = [], []
    for type_, name, operations in record.by_name(record.operations):
        kind = kinds.kind_of(type_, name)
        names = ("invoked", "completed", "planned", "ok", "exporter")
        fields = (operations[field].tolist() for field in names)
        for invoked, completed, planned, ok, exporter in zip(*fields, strict=True):
            ended = None if completed == NEVER else completed
            if type_ == "call":
                due = invoked if planned == NEVER else planned
                calls.append(Call(due, ended, ok, exporter=exporter))
            if kind:
                tried.append(Tried(kind, invoked, ended, ok))
    return calls, tried


def _unserved(record: Record) -> Iterable[Call]:
    """Planned calls that were never begun, as every user waited for an answer."""
    for line in record.other.get("unserved", []):
        for planned in line["planned_ns"]:
            yield Call(planned, None, False, ("never sent: every user was waiting",))


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
    took = _took_ms(group)
    return float(np.percentile(took, 95)) if took else None


def _took_ms(group: list[Call]) -> list[float]:
    """Milliseconds from the planned begin to the end, of those that succeeded."""
    return [(c.ended - c.due) / 1e6 for c in group if c.ok and c.ended is not None]


def _periods(record: Record, since: int, last: int) -> Iterable[Period]:
    """Yield the faults of a run; `since` is when its figures began, `last` the end, in ns."""
    lines = record.other.get("fault", [])
    starts = [i for i, line in enumerate(lines) if line["state"] in ("injecting",)]
    for start, after in zip(starts, [*starts, len(lines)][1:], strict=True):
        own = {line["state"]: line for line in reversed(lines[start:after])}
        first = lines[start]
        healed = own["healed"]["mono_ns"] if "healed" in own else None
        yield Period(
            fault=first["fault"],
            component=first["component"],
            since=since,
            begin=first["mono_ns"],
            end=lines[after]["mono_ns"] if after < len(lines) else max(last, first["mono_ns"]),
            in_effect=own["in effect"]["mono_ns"] if "in effect" in own else None,
            healed=healed,
            failed=own["failed"].get("why", "it failed") if "failed" in own else None,
            last=after == len(lines),
        )
        since = healed or first["mono_ns"]


def _figures(seen: Seen, period: Period) -> FaultFigures:
    plan = seen.plan
    aims = ResilienceParameters.recorded(plan.parameters)
    around = _around(seen, period)
    recovered = _recovered(seen, period, around)
    healed_s = None if period.healed is None else (period.healed - period.begin) / 1e9
    after = None
    if recovered is not None and healed_s is not None:
        after = max(0.0, recovered - healed_s)
    affected_calls = _affected_calls(seen.calls, period, recovered)
    fault = named(period.fault)
    affected_paths = affected(fault.component_kinds)
    own_s = fault.outage_limit_s(plan.target) if plan.target else fault.outage_s
    limit_s = own_s if aims.outage_limit_s is None else aims.outage_limit_s
    by_path = {
        path: outages.longest(own, period.begin, period.end, affected=path in affected_paths)
        for path, own in seen.probes.items()
    }
    judged = [one for one in by_path.values() if one.affected]
    return FaultFigures(
        fault=period.fault,
        component=period.component,
        injected_s=(period.begin - seen.zero) / 1e9,
        in_effect_s=None if period.in_effect is None else (period.in_effect - period.begin) / 1e9,
        healed_s=healed_s,
        observed_s=(period.end - period.begin) / 1e9,
        recovered_s=recovered,
        recovery_time_s=after,
        recovery_time_limit_s=aims.recovery_time_limit_s,
        outage_s=max((one.at_most_s for one in judged), default=(period.end - period.begin) / 1e9),
        outage_limit_s=limit_s,
        longest_probe_s=max((one.longest_probe_s for one in judged), default=0.0),
        failed_probes=sum(one.failed for one in judged),
        outages={path.value: one for path, one in by_path.items()},
        kinds=around,
        calls=len(affected_calls),
        failed=sum(not c.ok for c in affected_calls),
        error_rate_limit=aims.error_rate_limit,
        succeeded_after_retry=sum(c.ok and bool(c.saw) for c in affected_calls),
        client_errors=dict(Counter(word for c in affected_calls for word in c.saw).most_common()),
        traces=trace_path.figures(
            seen.traces,
            period.begin,
            period.end,
            period.healed,
            last=period.last,
            limit_s=aims.trace_recovery_time_limit_s,
        )
        if seen.traces
        else None,
        fault_error=period.failed,
    )


def _around(seen: Seen, period: Period) -> dict[str, KindFigures]:
    among = kinds.asked_for(seen.plan.parameters)
    return kinds.figures(seen.tried, period.since, period.begin, period.healed, period.end, among)


def _recovered(seen: Seen, period: Period, around: dict[str, KindFigures]) -> float | None:
    if seen.limit_ms is None:
        return None
    return recovered_s(
        seen.calls,
        period.begin,
        period.end,
        seen.limit_ms,
        healed=period.healed,
        done=seen.tried,
        wanted={
            kind
            for kind, of in around.items()
            if of.acknowledged_before and of.attempted_after and kind not in kinds.EXPORTED
        },
    )


def _affected_calls(calls: list[Call], period: Period, recovered_s: float | None) -> list[Call]:
    """Calls that were due until a fault was over, and later ones of which something went wrong.

    It is over when it was healed and service was restored; with neither seen, at the period's end.
    """
    over = period.end
    if recovered_s is not None and period.healed is not None:
        over = max(period.healed, period.begin + int(recovered_s * 1e9))
    within = (c for c in calls if period.begin <= c.due < period.end)
    return [c for c in within if c.due < over or not c.ok or c.saw]


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


def _enough(plan: Plan, rate: float) -> Gate:
    return Gate(
        name="throughput before the faults",
        limit=f"≥ {plan.objectives.min_rate:g} calls/s",
        measured=f"{rate:.1f} calls/s",
        passed=rate >= plan.objectives.min_rate,
        remedy="Where nearly nothing is asked, nothing can be seen to fail: give a higher --rate.",
    )


def _on_time(record: Record, window: Window | None, periods: list[Period]) -> list[Gate]:
    """A late generator makes seconds look slow, and restore service only later, or never."""
    if window is None or not periods:
        return []
    faults = replace(window, begin_ns=periods[0].begin, end_ns=periods[-1].end)
    late = validity.generator_delay_ms(record, faults)
    return [
        Gate(
            name="generator on time under faults",
            limit=f"p99 ≤ {OWN_MS:.0f} ms",
            measured="no samples" if late is None else f"p99 {late:.1f} ms",
            passed=late is not None and late <= OWN_MS,
            remedy="This machine is too busy to measure: end other work on it, or plan a lower "
            "--rate.",
            one_sided=True,
        )
    ]
