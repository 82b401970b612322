"""From the files of a run to its result: the same for a run that just ended and an old one."""

import json
from pathlib import Path

from workloads import capacity, figures, record
from workloads.checkers import availability, bottleneck, durability, objectives, validity
from workloads.errors import CannotRunError
from workloads.history import HISTORY
from workloads.observed import observed
from workloads.plan import Load
from workloads.record import Record, Window
from workloads.report import files, html
from workloads.result import Capacity, Result, StageFigures

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
    kept = durability.judge(folder / HISTORY, folder / READBACK)
    kept.reconciled = [
        f"{one['kind']} {one['removed']}, a double of {one['kept']}, was removed"
        for one in read.other.get("reconciled", [])
    ]
    broken = availability.judge(folder / HISTORY, read)
    stage = stages[judged] if judged is not None else None
    climb = climbed if stage and stage.stage.load is Load.CLOSED else None
    limit = bottleneck.find(
        read.plan,
        _fullest(stages) if climb else stage,
        saturated=bool(climb and climb.knee.reached),
    )
    result = Result(
        plan=read.plan,
        load_s=stage.load_s if stage else 0.0,
        interrupted=read.interrupted,
        stages=stages,
        judged_stage=stage.stage.name if stage else None,
        operations=operations,
        errors=errors,
        gates=gates,
        ceiling=validity.ceiling(read),
        capacity=climbed,
        bottleneck=limit,
        durability=kept,
        resilience=broken,
        deploy=_deploy(folder / DEPLOY),
        not_done=[line["said"] for line in read.other.get("not_done", [])] + kept.not_read,
        verdict=objectives.judge(
            read.plan, stages, stage, operations, errors, gates, kept, climbed, limit, broken
        ),
    )
    return result, read


def conclude(folder: Path) -> Result:
    """Judge the run in `folder` and write its result and report there; raises as `judge`."""
    result, read = judge(folder)
    _replace(folder / RESULT, result.model_dump_json(indent=2) + "\n")
    for name, text in files.tables(result).items():
        _replace(folder / name, text)
    _replace(folder / REPORT, html.render(result, read))
    return result


def _stage(read: Record, window: Window) -> StageFigures:
    calls = figures.calls(read, window)
    return StageFigures(
        stage=window.stage,
        load_s=window.seconds,
        calls=calls,
        unserved=read.unserved(window),
        gates=validity.stage_gates(read, window),
        observed=observed(read, window, calls),
    )


def _capacity(read: Record, stages: list[StageFigures]) -> Capacity | None:
    """What the closed stages of a climb say; those from the first that does not count on do not."""
    climb = [stage for stage in stages if stage.stage.load is Load.CLOSED]
    if len(climb) < 2:
        return None
    counted = {}
    for stage in climb:
        if not stage.counts:
            break
        counted[stage.stage.users] = stage.calls.rate
    good = [
        stage.stage.users
        for stage in climb
        if stage.stage.users in counted and objectives.within(read.plan, stage)
    ]
    return Capacity(
        knee=capacity.knee(counted),
        fit=capacity.fit(counted),
        users_within_objectives=max(good, default=None),
    )


def _fullest(stages: list[StageFigures]) -> StageFigures | None:
    """The last stage of a climb that counts: there, what gave out is at its limit for sure."""
    climb = [stage for stage in stages if stage.stage.load is Load.CLOSED]
    return next((stage for stage in reversed(climb) if stage.counts), None)


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
        return able[0]  # not even the first one counts: its gates say why
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
