"""Objectives of single kinds of calls and of steps, and a bound for every kind of call.

A kind that is one call in fifty hardly moves the p95 of all calls, however slow it is. So the p95
of each kind of API call is bounded as well, by `each_p95_ms` or three times the objective of all
calls. That bound is nobody's wish for this kind, so it is missed only where chance is no excuse:
from 20 samples on, where the whole 95 % interval of the p95 lies beyond it; of fewer, where more
are beyond it than come by chance in one case of a hundred if one call in twenty may be (binomial
distribution). So is a percentile that was asked for, where there are too few samples to give it.
"""

import numpy as np
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]

from workloads.checkers.objectives import counted
from workloads.history.record import Record, Window
from workloads.plan.plan import OperationObjectives, Plan
from workloads.verdict.figures import ALL_CALLS, SAMPLES, p95_interval, times_ms
from workloads.verdict.result import OperationFigures, OperationOutcome, StageFigures

EACH = 3.0
"""How many times the objective of all calls the p95 of one kind may be, where none is stated."""

FEWEST = 5
"""Samples of a kind below which nothing is said of it by itself."""

CHANCE = 0.01

NO_TIMES: NDArray[np.float64] = np.empty(0)


def judge(
    plan: Plan,
    record: Record,
    window: Window,
    stage: StageFigures,
    operations: list[OperationFigures],
) -> list[OperationOutcome]:
    """Say of each objective of an operation whether the judged stage meets it.

    `operations` is the table of that stage. First those that were asked for, in their order; then,
    unless all calls together are too slow, the kinds of calls that miss the bound of each kind, or
    one line that says that all are within.
    """
    rows = {row.name: row for row in operations if row.name != ALL_CALLS}
    times = {name: times_ms(own) for _, name, own in record.by_name(record.within(window))}
    outcomes = [
        outcome
        for name, aims in plan.objectives.operations.items()
        for outcome in _stated(name, aims, rows.get(name), times.get(name, NO_TIMES), stage)
    ]
    return [*outcomes, *_each(plan, record, window, stage)]


def _stated(
    name: str,
    aims: OperationObjectives,
    row: OperationFigures | None,
    times: NDArray[np.float64],
    stage: StageFigures,
) -> list[OperationOutcome]:
    limits = aims.model_dump(exclude_none=True)
    if row is None:
        if aims.min_count is None:
            return []
        message = f"{name}: there was none with {stage.stage.name}. See its name in the table."
        return [
            OperationOutcome(
                name=name, objective="min_count", limit=aims.min_count, measured=0, message=message
            )
        ]
    if row.count and limits != {"min_count": 1}:  # that there is one is no news then
        limits = {
            objective: limit
            for objective, limit in limits.items()
            if (objective, limit) != ("min_count", 1)
        }
    return [_one(name, objective, limit, row, times, stage) for objective, limit in limits.items()]


def _one(
    name: str,
    objective: str,
    limit: float,
    row: OperationFigures,
    times: NDArray[np.float64],
    stage: StageFigures,
) -> OperationOutcome:
    generator_delay_ms = stage.generator_delay_ms
    words = {"min_mib_per_s": "MiB/s", "min_rate": "/s", "min_count": "of them"}
    least = objective in words
    measured, without = _measured(objective, row, generator_delay_ms or 0.0, stage.bounded)

    def outcome(met: bool | None, message: str) -> OperationOutcome:
        return OperationOutcome(
            name=name, objective=objective, limit=limit, measured=measured, met=met, message=message
        )

    if measured is None:
        fewest = SAMPLES.get(int(objective[1:3]), 1) if objective.startswith("p") else 1
        good = row.count - row.errors
        if objective.startswith("p") and generator_delay_ms is not None:
            share = 1 - int(objective[1:3]) / 100
            if by_no_chance(times - generator_delay_ms, limit, share):
                over = int((times > limit).sum())
                return outcome(
                    False,
                    f"{name}: {over} of {len(times)} took more than {limit:g} ms with "
                    f"{stage.stage.name}, the objective of their {_shown(objective)}: by chance "
                    f"alone there are so many in less than {CHANCE:.0%} of cases.",
                )
        return outcome(
            None,
            f"{name}: {good} are too few for {_shown(objective)}, which takes {fewest}. Give more "
            "time with --duration.",
        )
    bound = stage.bounded
    if least:
        sign = "≥ " if bound else ""
        value = f"{sign}{measured:.4g} {words[objective]}".replace(" /s", "/s")
        aim = f"≥ {limit:g}"
    else:
        sign = "≤ " if bound else ""
        value = f"{_shown(objective)} {sign}{measured:.0f} ms"
        aim = f"≤ {limit:g}"
    if measured >= limit if least else measured <= limit:
        return outcome(True, f"{name}: {value} (objective {aim}).")
    message = f"{name}: {value} with {stage.stage.name}; the objective is {aim}."
    if objective == "min_count":
        return outcome(None, f"{message} Give more time with --duration.")
    if generator_delay_ms is None:
        return outcome(None, f"{message} How late the generator was is not known.")
    if without is None or (without >= limit if least else without <= limit):
        return outcome(None, f"{message} The generator itself may be the reason.")
    return outcome(False, message)


def _measured(
    objective: str, row: OperationFigures, generator_delay_ms: float, bounded: bool
) -> tuple[float | None, float | None]:
    """Return the figure, and what it may have been without the generator's own lateness.

    None for the latter: nobody knows.
    """
    times = counted(row)
    match objective:
        case "p50_ms" | "p95_ms" | "p99_ms":
            value: float | None = getattr(times, objective)
            return value, None if value is None else value - generator_delay_ms
        case "min_mib_per_s":
            if row.mib_per_s is None or not row.size_bytes:
                return None, None
            took_ms = row.size_bytes / 2**20 / row.mib_per_s * 1000
            left_ms = took_ms - generator_delay_ms
            return row.mib_per_s, row.mib_per_s * took_ms / left_ms if left_ms > 0 else None
        case "min_rate":
            return row.rate, None if bounded else row.rate
    return float(row.count), float(row.count)


def _shown(objective: str) -> str:
    return objective.removesuffix("_ms").removeprefix("min_").replace("mib_per_s", "MiB/s")


def _each(
    plan: Plan, record: Record, window: Window, stage: StageFigures
) -> list[OperationOutcome]:
    aims = plan.objectives
    limit = aims.each_p95_ms or EACH * aims.p95_ms
    p95_ms = counted(stage.calls).p95_ms
    if aims.each_p95_ms is None and p95_ms is not None and p95_ms > aims.p95_ms:
        return []  # the calls are too slow together, which is said already
    own = {name for name, one in aims.operations.items() if one.p95_ms is not None}
    calls = record.of_type(record.within(window), "call")
    compared, outcomes = 0, []
    for _, name, rows in record.by_name(calls):
        times = times_ms(rows)
        if name in own or len(times) < FEWEST:
            continue
        compared += 1
        if not beyond(times, limit):
            continue
        generator_delay_ms = stage.generator_delay_ms
        caused = generator_delay_ms is None or not beyond(times - generator_delay_ms, limit)
        median = float(np.median(times))
        message = (
            f"{name}: {int((times > limit).sum())} of {len(times)} calls took more than "
            f"{limit:.0f} ms with {stage.stage.name} (median {median:.0f} ms), which every kind "
            "of call has to keep in 95 % of cases. Give it an objective of its own with "
            f"--objective '{name}:p95_ms=…', or change what is slow."
        )
        message += " The generator itself may be the reason." if caused else ""
        outcomes.append(
            OperationOutcome(
                name=name,
                objective="each_p95_ms",
                by_name=False,
                limit=limit,
                measured=float(np.percentile(times, 95)),
                met=None if caused else False,
                message=message,
            )
        )
    if outcomes or not compared:
        return outcomes
    message = f"Each of {compared} kinds of API call is within {limit:.0f} ms in 95 % of cases."
    return [
        OperationOutcome(
            name="each kind of API call",
            objective="each_p95_ms",
            by_name=False,
            limit=limit,
            met=True,
            message=message,
        )
    ]


def beyond(times_ms: NDArray[np.float64], limit_ms: float) -> bool:
    """Whether a 95th percentile lies above the limit, and not by chance."""
    low, _ = p95_interval(times_ms)
    if low is not None:
        return low > limit_ms
    return by_no_chance(times_ms, limit_ms, 0.05)


def by_no_chance(times_ms: NDArray[np.float64], limit_ms: float, share: float) -> bool:
    """Whether more of these exceed the limit than come by chance if that share of all may."""
    number = len(times_ms)
    over = int((times_ms > limit_ms).sum())
    return number >= FEWEST and bool(stats.binom.sf(over - 1, number, share) < CHANCE)
