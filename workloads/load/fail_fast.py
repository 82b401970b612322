"""Whether a load can still end in a good verdict, checked while it runs (`--fail-fast`).

The usual judge gets the best case of the run: the rest of the load is answered at once and well,
with as many calls as possible. What is bad even so stays bad. A check reads the lines added since
the last one; checks take a twentieth of the time at most.

The calls that are left: those planned, in an open loop. In a closed loop twice the best second so
far, up to the generator's ceiling.
"""

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from workloads.checkers import objectives, per_operation, validity, violations
from workloads.checkers.evidence import Evidence
from workloads.history.history import History
from workloads.history.record import NEVER, Reader, Record, Rows, Window
from workloads.plan.plan import Load, Plan, Stage
from workloads.scenarios.scenario import Scenario, one_stage
from workloads.verdict import figures
from workloads.verdict.result import Durability, DurabilityVerdict, Freshness, StageFigures

FASTER = 2
"""The rest of a closed load is taken to reach the best second so far times this."""

SETTLED_S = 5.0
"""Time of a closed load before its best second is known."""

EVERY_S = 1.0
SHARE = 0.05
"""Highest share of time for checks: they cost CPU that the measured stack may need."""

# Readback and its comparisons come after the load.
_UNREAD = Durability(verdict=DurabilityVerdict.UNKNOWN, kinds={}, findings=[], read_errors=[])
_NOT_COMPARED = Freshness(reads=0, stale=0, unexpected=0, max_staleness_s=None, findings=[])


class FailFast:
    """Checks the history of a run under way now and then."""

    over = False
    """Whether the verdict can only be bad; the history then has the reason."""

    def __init__(self, path: Path, scenario: Scenario, writer: History) -> None:
        self._reader = Reader(path)
        self._scenario = scenario
        self._writer = writer
        self._next = 0.0

    def check(self, *, now: bool = False) -> bool:
        """Check if it is time, or `now`; returns whether the load is over."""
        began = time.monotonic()
        if self.over or (not now and began < self._next):
            return self.over
        read = self._reader.read()
        alone = self._scenario.stages is one_stage
        last = read.loading and (alone or read.windows[-1].stage.goes_on)
        why = reason_to_end(read, time.monotonic_ns(), last=last)
        elapsed_s = time.monotonic() - began
        self._next = began + max(EVERY_S, elapsed_s / SHARE)
        if why is not None:
            self.over = True
            self._writer.event("ended_early", why=why)
        return self.over

    def close(self) -> None:
        """Close the history."""
        self._reader.close()


def reason_to_end(read: Record, now_ns: int, *, last: bool) -> str | None:
    """Return why a run under way can only be bad, in the verdict's words; None: it may be good.

    `last`: no other stage follows. Where one may, or a closed load has just begun, the share of
    failed calls is unknown: then only wrong answers end it, and failed calls where none may fail.
    """
    best = _optimistic(read, now_ns)
    predictable = last and _predictable(read, now_ns)
    if not predictable:
        best.plan = _without_shares(read.plan)
    reason = _bad(best, read, judged=predictable)
    if reason is None:
        return None
    # The reason has the figures so far, without calls that never were made.
    return _bad(replace(read, plan=best.plan), read, judged=predictable) or reason


def _bad(record: Record, real: Record, *, judged: bool) -> str | None:
    """Say what makes a record bad: a fact, or where its last stage is `judged` an objective."""
    stages = [_figures(record, window) for window in record.windows]
    steps, errors = figures.steps(record), figures.errors(record)
    findings = violations.violations(
        Evidence(record, stages, steps, errors, _UNREAD, _NOT_COMPARED)
    )
    if findings or not judged:
        return findings[0] if findings else None
    window = record.windows[-1]
    if _missed(record, window, stages[-1]) is None:
        return None
    # Only now does the generator's own delay have to be known.
    window_so_far = real.windows[-1]
    late = [gate for gate in validity.stage_gates(real, window_so_far) if gate.one_sided]
    lateness = {
        "gates": late,
        "generator_delay_ms": validity.generator_delay_ms(real, window_so_far),
    }
    return _missed(record, window, stages[-1].model_copy(update=lateness))


def _missed(record: Record, window: Window, stage: StageFigures) -> str | None:
    table = figures.table(record, window)
    single = per_operation.judge(record.plan, record, window, stage, table)
    outcomes = objectives.outcomes(record.plan, stage, table, None, single)
    return next((outcome.message for outcome in outcomes if outcome.met is False), None)


def _predictable(read: Record, now_ns: int) -> bool:
    """Whether the calls so far bound the number of those to come."""
    window = read.windows[-1]
    seconds = (now_ns - window.begin_ns) / 1e9
    needed = SETTLED_S if window.stage.load is Load.CLOSED else 0
    return seconds >= needed and len(read.of_type(read.within(window), "call")) > 0


def _figures(record: Record, window: Window) -> StageFigures:
    """Figures of a stage as if it had settled, and the generator were in time."""
    return StageFigures(
        stage=window.stage,
        load_s=window.seconds,
        calls=figures.calls(record, window),
        dropped_calls=record.dropped(window),
        gates=[],
        generator_delay_ms=0.0,
        in_flight=figures.in_flight(record, window),
    )


def _without_shares(plan: Plan) -> Plan:
    aims = plan.objectives
    unknown = {"error_rate": 1.0 if aims.error_rate else 0.0, "retried_rate": 1.0}
    return plan.model_copy(update={"objectives": aims.model_copy(update=unknown)})


def _optimistic(read: Record, now_ns: int) -> Record:
    """The record with the rest of the stage under way, as good as it can be."""
    if not read.loading:
        return replace(read)
    window = read.windows[-1]
    end_ns = max(now_ns, window.begin_ns + int(window.stage.load_s * 1e9))
    operations = read.within(window)
    calls = read.of_type(operations, "call")
    number = _most_calls_left(read, window, calls, now_ns, end_ns)
    if not len(calls) or not number:
        return replace(read, windows=[*read.windows[:-1], replace(window, end_ns=end_ns)])
    # Kinds of operations as they came so far; steps beside calls.
    remaining: Rows = np.resize(operations, round(number * len(operations) / len(calls))).copy()
    remaining["invoked"] = np.linspace(now_ns, end_ns, len(remaining), endpoint=False).astype("i8")
    remaining["planned"] = np.where(remaining["planned"] == NEVER, NEVER, remaining["invoked"])
    remaining["completed"] = remaining["invoked"]
    remaining["ok"], remaining["retried"], remaining["queued"] = True, False, False
    return replace(
        read,
        windows=[*read.windows[:-1], replace(window, end_ns=end_ns)],
        operations=np.concatenate([read.operations, remaining]),
    )


def _most_calls_left(read: Record, window: Window, calls: Rows, now_ns: int, end_ns: int) -> int:
    """Most calls that the rest of a stage can have."""
    left_s = (end_ns - now_ns) / 1e9
    stage: Stage = window.stage
    if stage.load is Load.OPEN:
        planned = calls["planned"]
        arrived = len(np.unique(planned[planned != NEVER])) or 1
        arrivals = (stage.rate or 0) * stage.load_s
        arrivals += 2 * math.sqrt(arrivals)  # of a Poisson process one in forty has more
        if calls["spans"].any():  # exports have planned times of their own, so time has to tell
            so_far_s = (now_ns - window.begin_ns) / 1e9
            return round(FASTER * len(calls) * left_s / max(so_far_s, 1.0))
        return round(max(0.0, arrivals - arrived) * len(calls) / arrived)
    if stage.load is Load.BURST:
        return round((stage.rate or 0) * left_s + 1) * stage.users
    seconds = (calls["completed"] - window.begin_ns) // 1_000_000_000
    best = FASTER * int(np.bincount(seconds[seconds >= 0]).max(initial=0))
    ceiling = validity.ceiling(read)
    return round(left_s * (best if ceiling is None else min(best, ceiling)))
