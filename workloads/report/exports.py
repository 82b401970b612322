"""The result for other programs: CSV for a spreadsheet, JSON and JUnit XML for CI."""

import csv
import io
import json

from workloads.report import junit
from workloads.verdict.result import OperationFigures, Result, StageFigures, TraceFigures

STAGES = "stages.csv"
OPERATIONS = "operations.csv"
SMALLER = "benchmark-smaller-is-better.json"
BIGGER = "benchmark-bigger-is-better.json"

_LATENCIES = ("p50_ms", "p95_ms", "p99_ms", "max_ms")


def tables(result: Result) -> dict[str, str]:
    """Return the content of each file by its name."""
    return {
        STAGES: _stages(result),
        OPERATIONS: _operations(result),
        SMALLER: json.dumps(_smaller(result), indent=2) + "\n",
        BIGGER: json.dumps(_bigger(result), indent=2) + "\n",
        junit.JUNIT: junit.render(result),
    }


def _stages(result: Result) -> str:
    rows = [
        [
            stage.stage.name,
            stage.stage.load.value,
            stage.stage.users,
            stage.stage.rate,
            stage.validity,
            stage.calls.count,
            stage.calls.errors,
            stage.calls.rate,
            *(getattr(stage.calls, name) for name in _LATENCIES),
            *(getattr(stage.calls.response_time, name, None) for name in _LATENCIES),
            stage.observed.cpu_ms_per_call if stage.observed else None,
            *(getattr(stage.traces, name, None) for name in TraceFigures.model_fields),
        ]
        for stage in result.stages
    ]
    titles = ["stage", "load", "users", "planned_rate", "valid", "calls", "errors", "rate"]
    titles += [*_LATENCIES, *(f"response_{name}" for name in _LATENCIES), "cpu_ms_per_call"]
    titles += TraceFigures.model_fields
    return _csv(titles, rows)


def _operations(result: Result) -> str:
    plain = [name for name in OperationFigures.model_fields if name != "response_time"]
    rows = [
        [result.judged_stage]
        + [getattr(row, name) for name in plain]
        + [getattr(row.response_time, name, None) for name in _LATENCIES]
        for row in result.operations
    ]
    return _csv(["stage", *plain, *(f"response_{name}" for name in _LATENCIES)], rows)


def _csv(titles: list[str], rows: list[list[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(titles)
    writer.writerows(
        [f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows
    )
    return out.getvalue()


def _entry(result: Result, name: str, unit: str, value: float) -> dict[str, object]:
    plan = result.plan
    return {
        "name": f"{plan.subject} {plan.scenario} {plan.profile_name}: {name}",
        "unit": unit,
        "value": round(value, 3),
    }


def _smaller(result: Result) -> list[dict[str, object]]:
    """Latencies, errors, losses and cost, as github-action-benchmark's customSmallerIsBetter."""
    entries = []
    for stage in result.stages:
        for name in ("p50_ms", "p95_ms", "p99_ms"):
            value = getattr(stage.calls.response_time or stage.calls, name)
            if value is not None:
                label = f"{name.removesuffix('_ms')} at {stage.stage.name}"
                entries.append(_entry(result, label, "ms", value))
        if stage.observed and stage.observed.cpu_ms_per_call is not None:
            label = f"CPU of a call at {stage.stage.name}"
            entries.append(_entry(result, label, "ms", stage.observed.cpu_ms_per_call))
        if stage.traces and stage.traces.metadata_p95_ms is not None:
            label = f"p95 of metadata beside traces at {stage.stage.name}"
            entries.append(_entry(result, label, "ms", stage.traces.metadata_p95_ms))
    failed = sum(stage.calls.errors for stage in result.stages)
    lost = sum(sets.lost for sets in result.durability.kinds.values())
    return [
        *entries,
        _entry(result, "failed calls", "calls", failed),
        _entry(result, "lost", "things", lost),
        *(_entry(result, name, "s", seconds) for name, seconds in result.deploy.items()),
    ]


def _bigger(result: Result) -> list[dict[str, object]]:
    """Rates, of traces too, as github-action-benchmark's customBiggerIsBetter."""
    return [
        entry
        for stage in result.stages
        for entry in (
            _entry(result, f"rate at {stage.stage.name}", "calls/s", stage.calls.rate),
            *_traces(result, stage),
        )
    ]


def _traces(result: Result, stage: StageFigures) -> list[dict[str, object]]:
    if not stage.traces:
        return []
    return [
        _entry(result, f"traces at {stage.stage.name}", "traces/s", stage.traces.traces_per_s),
        _entry(result, f"spans at {stage.stage.name}", "spans/s", stage.traces.spans_per_s),
    ]
