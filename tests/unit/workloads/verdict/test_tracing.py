"""What came of traces, from records written by hand."""

from typing import Any

import pytest

from tests.unit.workloads.builders import S, plan, stage
from workloads.checkers import objectives
from workloads.history.history import DROPPED, Kind, Operation, Write
from workloads.history.record import Record, Window, _Table
from workloads.plan.plan import Load, Stage
from workloads.verdict import tracing
from workloads.verdict.result import OperationFigures, StageFigures, TraceFigures

OPEN = stage(name="5/s", load=Load.OPEN, rate=5)
WINDOW = Window(OPEN, 0, 2 * S, 12 * S)


def export(at_s: float, trace: str, *spans: str, outcome: str = "ok") -> Operation:
    writes = [Write(Kind.TRACE, "1", trace, trace)]
    writes += [Write(Kind.SPAN, trace, span, "digest") for span in spans]
    at = int(at_s * S)
    return Operation(
        f"0.{at_s}",
        0,
        "call",
        "POST v1/traces",
        None,
        False,
        at,
        writes,
        outcome=outcome,
        completed_ns=at + S // 10,
    )


def recorded(*operations: Operation, dropped: list[dict[str, Any]] | None = None) -> Record:
    names: dict[tuple[str, str], int] = {}
    table = _Table()
    for one in operations:
        table.add(one, names.setdefault((one.type, one.name), len(names)))
    other = {DROPPED: dropped} if dropped else {}
    return Record(plan(), [WINDOW], True, list(names), table.rows(), [], other=other)


def test_a_trace_counts_once_and_each_acknowledged_span() -> None:
    found = tracing.figures(
        recorded(
            export(3, "tr-1", "a", "b"),
            export(4, "tr-1", "c"),
            export(5, "tr-2", "d", outcome="info"),
            export(6, "tr-3", "e", "f", "g"),
            export(1, "tr-4", "early"),
        ),
        WINDOW,
        None,
    )
    assert found
    assert (found.traces_per_s, found.spans_per_s) == (0.2, 0.6)
    assert (found.dropped_spans, found.metadata_p95_ms, found.cpu_ms_per_span) == (0, None, None)


def test_without_a_trace_there_are_no_figures() -> None:
    plain = Operation(
        "0.1", 0, "call", "GET runs/get", None, False, 3 * S, [], outcome="ok", completed_ns=4 * S
    )
    assert tracing.figures(recorded(plain), WINDOW, None) is None


def test_what_clients_dropped_is_told_and_misses_an_objective() -> None:
    lines = [
        {"mono_ns": 3 * S, "what": "spans", "count": 2, "spans": 10, "why": "it was full"},
        {"mono_ns": 4 * S, "what": "trace", "count": 1, "spans": 0, "why": "it was full"},
        {"mono_ns": 13 * S, "what": "spans", "count": 1, "spans": 4, "why": "the run ended"},
    ]
    record = recorded(export(3, "tr-1", "a"), dropped=lines)
    found = tracing.figures(record, WINDOW, None)
    assert found
    assert (found.dropped_spans, found.dropped_traces) == (10, 1)
    judged = figures_of(OPEN, found)
    [outcome] = objectives._sent(judged)
    assert outcome.met is False
    assert "threw away 10 spans" in outcome.message


def figures_of(planned: Stage, traces: TraceFigures) -> StageFigures:
    calls = OperationFigures(
        name="all API calls",
        type="call",
        count=100,
        errors=0,
        rate=10,
        background=0,
        retried=0,
        p50_ms=1,
        p95_ms=1,
        p99_ms=None,
        max_ms=1,
    )
    return StageFigures(stage=planned, load_s=10, calls=calls, gates=[], traces=traces)


def climbed(*rates: tuple[float, float, int]) -> list[StageFigures]:
    """Stages by planned traces/s, acknowledged traces/s and dropped spans."""
    return [
        figures_of(
            stage(name=f"{rate:g}/s", load=Load.OPEN, rate=rate),
            TraceFigures(traces_per_s=came, spans_per_s=10 * came, dropped_spans=dropped),
        )
        for rate, came, dropped in rates
    ]


@pytest.mark.parametrize(
    ("rates", "said"),
    [
        (((10, 9.5, 0), (20, 20.5, 0)), "All arrives up to 20 planned traces/s: try more."),
        (
            ((10, 9.5, 0), (20, 20, 0), (40, 25, 90), (80, 24, 900)),
            "All arrives up to 20 planned traces/s; at 40 there are 25.0/s, and clients drop 90 "
            "spans. The most was 25.0 traces/s.",
        ),
        (
            ((10, 4, 0), (20, 4, 7)),
            "Not all arrives in time at the lowest rate; at 10 there are 4.0/s, and clients drop 0 "
            "spans. The most was 4.0 traces/s.",
        ),
        (
            ((10, 10, 1), (20, 20, 0)),
            "Not all arrives in time at the lowest rate; at 10 there are 10.0/s, and clients drop "
            "1 spans. The most was 20.0 traces/s.",
        ),
    ],
)
def test_the_rate_up_to_which_all_arrives(
    rates: tuple[tuple[float, float, int], ...], said: str
) -> None:
    stages = climbed(*rates)
    assert tracing.said(stages, None) == [said]
