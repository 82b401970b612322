"""Figures of a run with traces, as comparisons, spreadsheets and CI take them."""

import csv
import io
import json
from functools import cache

import pytest

from tests.unit.workloads.comparison.test_table import made
from workloads.comparison.bounded import Bound
from workloads.comparison.quantities import Quantity, figures
from workloads.comparison.saved_results import Deployment
from workloads.report import exports, publish
from workloads.verdict.result import Gate, MissingSpans, Result, TraceFigures

OWN = TraceFigures(
    traces_per_s=19.5,
    spans_per_s=150,
    cpu_ms_per_span=5.5,
    metadata_p95_ms=150,
    dropped_spans=7,
    dropped_traces=1,
)


@cache
def run(scenario: str, *, late: bool = False) -> Result:
    """A run with traces; `late`: by a generator that was late."""
    found, _ = made(20)
    [stage] = found.stages
    gates = [Gate(name="late", passed=not late, one_sided=True, limit="", measured="", remedy="")]
    return found.model_copy(
        update={
            "plan": found.plan.model_copy(update={"scenario": scenario}),
            "stages": [stage.model_copy(update={"traces": OWN, "gates": gates})],
            "missing_spans": MissingSpans(
                dropped_spans={"full": 5, "ended": 2},
                dropped_traces={"full": 1},
                refused_spans=3,
                refused_traces=0,
                lost_spans=0,
                lost_traces=0,
            ),
        }
    )


@pytest.mark.parametrize("scenario", ["traces", "otlp", "mixed"])
def test_traces_are_compared_at_each_load(scenario: str) -> None:
    result = run(scenario)
    found = figures(Deployment("local", runs={"run": result}))
    part = f"{scenario}, {result.stages[0].stage.name}"
    named = {one.name: (one, figure) for one, figure in found.items() if one.part == part}
    assert "p95" in named
    for name, unit, value, more in (
        ("traces", "1/s", 19.5, True),
        ("spans", "1/s", 150, True),
        ("spans that clients dropped", "", 7, False),
        ("traces that clients dropped", "", 1, False),
        ("p95 of metadata meanwhile", "ms", 150, False),
        ("CPU of a span", "ms", 5.5, False),
    ):
        quantity, figure = named[name]
        assert quantity == Quantity(part, name, unit, more)
        assert (figure.value, figure.bound) == (value, Bound.EXACT)


def test_of_a_late_generator_they_are_bounds() -> None:
    found = figures(Deployment("local", runs={"run": run("traces", late=True)}))
    bounds = {one.name: figure.bound for one, figure in found.items()}
    assert bounds["spans"] is Bound.AT_LEAST
    assert bounds["p95 of metadata meanwhile"] is Bound.AT_MOST
    assert bounds["spans that clients dropped"] is Bound.EXACT


def test_they_are_published() -> None:
    result = run("otlp")
    found = {name: value for name, _, value in publish.metrics(result)}
    load = result.stages[0].stage.load.value
    assert found[f"{load}/traces/spans_per_s"] == 150
    assert found[f"{load}/traces/dropped_spans"] == 7
    assert found["audit/dropped_spans"] == 7
    assert found["audit/refused_spans"] == 3
    assert found["audit/lost_spans"] == 0


def test_they_are_in_the_files_for_others() -> None:
    tables = exports.tables(run("otlp"))
    [row] = csv.DictReader(io.StringIO(tables[exports.STAGES]))
    assert row["spans_per_s"] == "150"

    def named(file: str) -> dict[str, float]:
        return {one["name"].split(": ")[1]: one["value"] for one in json.loads(tables[file])}

    assert named(exports.BIGGER)["spans at 2 users"] == 150
    assert named(exports.SMALLER)["p95 of metadata beside traces at 2 users"] == 150
