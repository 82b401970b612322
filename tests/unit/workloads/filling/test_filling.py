"""What a database is filled with: known from its number, the same each time, fit for COPY."""

import json
from collections import Counter

import numpy as np
import pytest

from workloads import CannotRunError
from workloads.commands.fill import number
from workloads.filling import experiment, facts, rows, traces
from workloads.filling.facts import MS_PER_DAY, Shape

BEGIN_MS = 1_700_000_000_000
SHAPE = Shape(40, BEGIN_MS, 1000, spans=8, text=50)


def test_a_trace_is_the_same_whenever_it_is_asked_for() -> None:
    assert traces.trace(7, SHAPE, "1") == traces.trace(7, SHAPE, "1")


def test_no_two_have_an_id_in_common() -> None:
    seeded = Shape(**SHAPE.as_dict() | {"seed": "2"})
    made = [traces.trace(n, SHAPE, "1") for n in range(40)]
    made += [traces.trace(n, SHAPE, "2") for n in range(40)]
    made += [traces.trace(n, seeded, "1") for n in range(40)]
    assert len({trace.id for trace in made}) == 120
    assert len({span.id for trace in made for span in trace.spans}) == 120 * 8


def test_ids_have_the_form_of_a_clients() -> None:
    trace = traces.trace(3, SHAPE, "1")
    assert trace.id == traces.trace_id(3, SHAPE, "1")
    assert trace.id.startswith("tr-")
    assert len(bytes.fromhex(trace.id.removeprefix("tr-"))) == 16
    assert all(len(bytes.fromhex(span.id)) == 8 for span in trace.spans)


def test_spans_are_a_tree_within_their_trace() -> None:
    for n in range(SHAPE.traces):
        trace = traces.trace(n, SHAPE, "1")
        root, *others = trace.spans
        assert root.parent is None
        ids = {span.id: span for span in trace.spans}
        for span in others:
            assert span.parent is not None
            parent = ids[span.parent]
            assert parent.start_ns <= span.start_ns < span.end_ns <= root.end_ns
        assert root.end_ns - root.start_ns == trace.duration_ms * 1_000_000


def test_facts_are_what_the_traces_hold() -> None:
    numbers = np.arange(SHAPE.traces)
    made = [traces.trace(n, SHAPE, "1") for n in range(SHAPE.traces)]
    assert [trace.state == "ERROR" for trace in made] == facts.failed(numbers).tolist()
    assert [trace.duration_ms for trace in made] == facts.duration_ms(numbers).tolist()
    assert [trace.began_ms for trace in made] == SHAPE.began_ms(numbers).tolist()
    assert [trace.tags["team"] for trace in made] == [f"team-{t}" for t in facts.team(numbers)]
    for n, trace in enumerate(made):
        kinds = Counter(span.type for span in trace.spans)
        assert kinds["CHAT_MODEL"] == facts.model_calls(SHAPE.spans)
        holding = [s for s in trace.spans if facts.CITIES[facts.city(n)] in s.content]
        assert [s.type for s in holding] == ["AGENT", *["RETRIEVER"] * kinds["RETRIEVER"]]
        failing = {s.type for s in trace.spans if s.status == "ERROR"}
        assert failing == ({"AGENT", "TOOL"} if facts.failed(n) else set())


def test_no_text_has_another_traces_words() -> None:
    contents = [
        "".join(span.content for span in traces.trace(n, SHAPE, "1").spans)
        for n in range(SHAPE.traces)
    ]
    for n in range(SHAPE.traces):
        word = facts.ticket(n)
        assert [at for at, content in enumerate(contents) if word in content] == [n]


@pytest.mark.parametrize("spans", range(facts.LEAST_SPANS, 14))
def test_model_calls_are_counted(spans: int) -> None:
    shape = Shape(1, BEGIN_MS, 1, spans=spans, text=5)
    kinds = [span.type for span in traces.trace(0, shape, "1").spans]
    assert kinds.count("CHAT_MODEL") == facts.model_calls(spans)


def test_the_cost_of_a_trace_is_that_of_its_spans() -> None:
    trace = traces.trace(5, SHAPE, "1")
    costs = [span.cost.total for span in trace.spans if span.cost]
    assert sum(costs) == pytest.approx(trace.cost.total)


def test_durations_of_a_round_are_different() -> None:
    durations = facts.duration_ms(np.arange(facts.DURATIONS))
    assert len(set(durations.tolist())) == facts.DURATIONS


def test_traces_end_where_they_were_asked_to() -> None:
    shape = Shape.until(BEGIN_MS, 1, 48, spans=4, text=0, seed="1")
    assert shape.end_ms == BEGIN_MS
    assert shape.step_ms == MS_PER_DAY // 48
    assert Shape.until(BEGIN_MS, 0, 48, spans=4, text=0, seed="1").step_ms == 1


def test_rows_are_escaped_for_copy() -> None:
    row: tuple[rows.Value, ...] = ("a\\b\tc\nd\re", None, 5, 0.1, "ü", "", "\\N")
    assert rows.copied(row) == "a\\\\b\\tc\\nd\\re\t\\N\t5\t0.1\tü\t\t\\\\N\n"


def test_each_row_has_a_value_for_each_column() -> None:
    found = list(rows.rows(traces.trace(19, SHAPE, "1"), "1", "mlflow-artifacts:/1"))
    assert all(len(row) == len(rows.COLUMNS[table]) for table, row in found)
    assert list(dict.fromkeys(table for table, _ in found)) == list(rows.COLUMNS)
    assert all(rows.copied(row).count("\n") == 1 for _, row in found)


def test_days_older_than_a_day_are_to_be_rebuilt() -> None:
    now_ms = 10 * MS_PER_DAY
    began_ms = [now_ms - MS_PER_DAY - 1, now_ms - MS_PER_DAY - 2, now_ms - MS_PER_DAY + 1]
    assert rows.rebuilds(began_ms, "3", now_ms) == {
        (3, "1970-01-09", family) for family in ("assessment", "span_cost", "trace_metric")
    }


def test_the_shape_comes_back_from_its_tag() -> None:
    assert Shape(**json.loads(json.dumps(SHAPE.as_dict()))) == SHAPE


def test_the_name_tells_the_numbers() -> None:
    assert experiment.name_of(100, 4) == "mlflow-bench trace-search, 100 traces of 4 spans"


@pytest.mark.parametrize(
    ("text", "count"), [("250", 250), ("100k", 100_000), ("1M", 1_000_000), ("1.5k", 1500)]
)
def test_numbers_are_read_as_people_write_them(text: str, count: int) -> None:
    assert number(text) == count


@pytest.mark.parametrize("text", ["", "0", "k", "-5", "1.5", "1e3", "many"])
def test_other_numbers_are_refused_in_a_line(text: str) -> None:
    with pytest.raises(CannotRunError, match="give a number as 250, 100k or 1m"):
        number(text)
