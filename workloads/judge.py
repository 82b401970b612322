"""From the files of a run to its result: the same for a run that just ended and an old one."""

import json
from pathlib import Path

from workloads import figures, history
from workloads.checkers import durability, objectives, validity
from workloads.errors import CannotRunError
from workloads.history import Record
from workloads.report import html
from workloads.result import Result

HISTORY = "history.jsonl"
READBACK = "readback.jsonl"
DEPLOY = "deploy.json"
RESULT = "result.json"
REPORT = "report.html"


def judge(folder: Path) -> tuple[Result, Record]:
    """Judge the run in `folder` from its files alone.

    Raises `CannotRunError` if the files are missing or damaged.
    """
    record = history.load(folder / HISTORY)
    operations = figures.table(record)
    errors = figures.errors(record)
    gates = validity.gates(record)
    kept = durability.check(record.operations, durability.load(folder / READBACK))
    begin, end = figures.window_ns(record)
    result = Result(
        plan=record.plan,
        load_s=(end - begin) / 1e9,
        interrupted="interrupted" in record.other,
        operations=operations,
        errors=errors,
        gates=gates,
        durability=kept,
        deploy=_deploy(folder / DEPLOY),
        verdict=objectives.judge(record.plan, operations, errors, gates, kept),
    )
    return result, record


def conclude(folder: Path) -> Result:
    """Judge the run in `folder` and write its result and report there; raises as `judge`."""
    result, record = judge(folder)
    _replace(folder / RESULT, result.model_dump_json(indent=2) + "\n")
    _replace(folder / REPORT, html.render(result, record))
    return result


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
