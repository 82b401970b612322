"""The table of faults under traces, and its place in a page."""

from types import SimpleNamespace

import pytest

from scripts.benchmarks.faults import OF_TRACES, begin_of, line, row_of_traces, written
from scripts.benchmarks.page import END
from scripts.shared.project import ROOT
from tests.unit.workloads.builders import fault
from workloads.verdict.result import FaultFigures, Result

PAGE = f"# Page\n\n{begin_of('multi-az')}\n\nold\n\n{END}\n\nbelow\n"


def test_a_table_takes_the_place_of_the_one_before() -> None:
    once = written(PAGE, "multi-az", ["| a |", "| 1 |"])
    assert once == f"# Page\n\n{begin_of('multi-az')}\n\n| a |\n| 1 |\n\n{END}\n\nbelow\n"
    assert written(once, "multi-az", ["| b |"]) == written(PAGE, "multi-az", ["| b |"])


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="it has no <!-- faults k8s -->"):
        written(PAGE, "k8s", [])


@pytest.mark.parametrize("stack", ["multi-az", "k8s"])
def test_the_page_of_traces_has_a_place_for_each_stack(stack: str) -> None:
    assert written((ROOT / "docs" / "traces.md").read_text(), stack, ["| a |"])


def test_a_row_tells_apart_why_spans_are_not_there() -> None:
    sets = dict.fromkeys(
        ("attempted", "present", "recovered", "unexpected", "duplicates", "differing", "unread"), 0
    )
    found = Result.model_construct(
        durability=SimpleNamespace(
            kinds={
                "span": SimpleNamespace(**sets | {"acknowledged": 900, "lost": 1}),
                "run": SimpleNamespace(**sets | {"acknowledged": 100, "lost": 2}),
            }
        ),
        missing_spans=SimpleNamespace(refused_spans=4),
        verdict=SimpleNamespace(judgement=SimpleNamespace(value="bad")),
    )
    traces = {
        "exports": 70,
        "failed": 3,
        "succeeded_after_retry": 20,
        "dropped_exports": 2,
        "dropped_spans": 10,
        "dropped_traces": 0,
        "client_errors": {},
        "most_unsent": 200,
        "recovered_s": None,
        "recovery_time_s": None,
        "recovery_time_limit_s": 20,
    }
    cells = row_of_traces(FaultFigures.model_validate(fault() | {"traces": traces}), found)
    by_title = dict(zip(OF_TRACES, cells, strict=True))
    assert by_title["all traces arrived again after, s"] == "not seen"
    assert by_title["spans dropped by clients"] == "10"
    assert (by_title["spans refused"], by_title["spans lost"]) == ("4", "1")
    assert (by_title["records acknowledged"], by_title["records lost"]) == ("1000", "3")
    assert line(cells).startswith("| replica-kill | some-1 | 4.0 | 5 | not seen | 70 | 3 | 20 |")
