"""From the files of a run to its result: the same for a run that just ended and an old one."""

import json
import math
from itertools import takewhile
from pathlib import Path

from workloads import CannotRunError
from workloads.checkers import (
    availability,
    bottleneck,
    coverage,
    durability,
    freshness,
    missing_spans,
    objectives,
    per_operation,
    validity,
    violations,
)
from workloads.checkers.evidence import Evidence
from workloads.history import record
from workloads.history.history import HISTORY
from workloads.history.record import Record, Window
from workloads.history.tables import opened
from workloads.load import priority
from workloads.plan.plan import Load
from workloads.report import exports, html
from workloads.verdict import figures, saturation, tracing, verdict
from workloads.verdict.resource_usage import observed
from workloads.verdict.result import Capacity, Result, StageFigures

READBACK = "readback.jsonl"
DEPLOY = "deploy.json"
RESULT = "result.json"
REPORT = "report.html"


def judge(folder: Path) -> tuple[Result, Record]:
    """Judge the run in `folder` from its files alone.

    Raises `CannotRunError` if the files are missing or damaged.
    """
    read = record.load(folder / HISTORY)
    stages = [_stage(read, window) for window in read.windows]
    climbed = _capacity(read, stages)
    judged = _judged(stages, climbed)
    operations = figures.table(read, read.windows[judged]) if judged is not None else []
    errors = figures.errors(read)
    gates = validity.run_gates(read)
    with opened(folder / HISTORY, folder / READBACK) as tables:
        kept = durability.judge(tables)
        missing = missing_spans.judge(tables, kept)
        fresh = freshness.judge(tables)
        broken = availability.judge(tables, read)
    kept.reconciled = [
        f"{one['kind']} {one['removed']}, a double of {one['kept']}, was removed"
        for one in read.other.get("reconciled", [])
    ]
    stage = stages[judged] if judged is not None else None
    climb = climbed if stage and stage.stage.load is Load.CLOSED else None
    limit = bottleneck.find(
        read.plan,
        _fullest(stages) if climb else stage,
        saturated=bool(climb and climb.knee.reached),
    )
    evidence = Evidence(read, stages, figures.steps(read), errors, kept, fresh)
    violated = violations.violations(evidence)
    single = (
        per_operation.judge(read.plan, read, read.windows[judged], stages[judged], operations)
        if judged is not None
        else []
    )
    result = Result(
        plan=read.plan,
        load_s=stage.load_s if stage else 0.0,
        interrupted=read.interrupted,
        stages=stages,
        judged_stage=stage.stage.name if stage else None,
        operations=operations,
        errors=errors,
        objectives=single,
        gates=gates,
        generator_ceiling=validity.ceiling(read),
        generator_nice=validity.nice(read),
        capacity=climbed,
        bottleneck=limit,
        durability=kept,
        missing_spans=missing,
        freshness=fresh,
        resilience=broken,
        deploy=_deploy(folder / DEPLOY),
        not_done=[*_not_done(read), *kept.not_read],
        violations=violated,
        verdict=verdict.judge(
            read.plan,
            violated,
            stages,
            stage,
            operations,
            gates,
            kept,
            climbed,
            limit,
            broken,
            single,
        ),
    )
    result.verdict.reasons += tracing.said(stages, stage)
    if missing:
        result.verdict.reasons.append(missing_spans.said(missing))
    result.verdict.reasons.append(coverage.said(kept))
    return result, read


def _not_done(read: Record) -> list[str]:
    """What this run could not look at, by what it wrote itself."""
    said = [str(line["said"]) for line in read.other.get("not_done", [])]
    nice = validity.nice(read)
    if nice is not None and nice > priority.NICE:
        said.append(
            f"the generator was not put before other work (its nice value is {nice}, which takes "
            "CAP_SYS_NICE to change): on a busy machine its own waiting is in the figures"
        )
    if violations.ended_processes(read) is None:
        said.append(
            "whether server processes ended was not seen: they are in no container or pod that "
            "could be asked"
        )
    return said


def conclude(folder: Path) -> Result:
    """Judge the run in `folder` and write its result and report there; raises as `judge`."""
    result, read = judge(folder)
    _replace(folder / RESULT, result.model_dump_json(indent=2) + "\n")
    for name, text in exports.tables(result).items():
        _replace(folder / name, text)
    _replace(folder / REPORT, html.render(result, read, folder))
    return result


def _stage(read: Record, window: Window) -> StageFigures:
    calls = figures.calls(read, window)
    seen = observed(read, window, calls)
    return StageFigures(
        stage=window.stage,
        load_s=window.seconds,
        calls=calls,
        dropped_calls=read.dropped(window),
        gates=validity.stage_gates(read, window),
        generator_delay_ms=validity.generator_delay_ms(read, window),
        in_flight=figures.in_flight(read, window),
        halves=figures.halves(read, window),
        observed=seen,
        traces=tracing.figures(read, window, seen),
    )


def _capacity(read: Record, stages: list[StageFigures]) -> Capacity | None:
    """What the closed stages of a climb say.

    From the first one on that the generator was the limit of, they tell of no knee: more calls
    might have been served. That objectives are met there all the same, they do tell.
    """
    climb = [stage for stage in stages if stage.stage.load is Load.CLOSED]
    if len(climb) < 2:
        return None
    exact = list(takewhile(lambda stage: stage.valid and not stage.bounded, climb))
    rates = {stage.stage.users: stage.calls.rate for stage in exact}
    good = list(takewhile(lambda one: one.valid and objectives.within(read.plan, one), climb))
    return Capacity(
        knee=saturation.knee(rates, {stage.stage.users: _margin(stage) for stage in exact}),
        fit=saturation.fit(rates),
        users_within_objectives=good[-1].stage.users if good else None,
        rate_at_least=max(stage.calls.rate for stage in climb),
    )


def _margin(stage: StageFigures) -> float:
    """Half of the 95 % interval of a rate; of few calls by their number alone (Poisson)."""
    if stage.calls.rate_margin is not None:
        return stage.calls.rate_margin
    return figures.Z * math.sqrt(stage.calls.count) / stage.load_s if stage.load_s else 0.0


def _fullest(stages: list[StageFigures]) -> StageFigures | None:
    """The last stage of a climb that counts: there, what gave out is at its limit for sure."""
    climb = [stage for stage in stages if stage.stage.load is Load.CLOSED]
    return next((one for one in reversed(climb) if one.valid and not one.bounded), None)


def _judged(stages: list[StageFigures], climbed: Capacity | None) -> int | None:
    """The stage that decides: of a climb its knee, else the last one that can."""
    able = [number for number, stage in enumerate(stages) if stage.stage.judged]
    if not able:
        return None
    if climbed and climbed.knee.users is not None:
        for number in able:
            stage = stages[number].stage
            if stage.load is Load.CLOSED and stage.users == climbed.knee.users:
                return number
    if climbed and stages[able[-1]].stage.load is Load.CLOSED:
        return able[0]  # the generator was the limit from the first one on
    return able[-1]


def _deploy(path: Path) -> dict[str, float]:
    """Deployment times in seconds by name, as `scripts/bench` leaves them."""
    if not path.exists():
        return {}
    try:
        return {str(name): float(value) for name, value in json.loads(path.read_text()).items()}
    except (ValueError, TypeError, AttributeError):
        raise CannotRunError(f"{path}: not an object of seconds by name") from None


def _replace(path: Path, text: str) -> None:
    draft = path.with_suffix(".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
