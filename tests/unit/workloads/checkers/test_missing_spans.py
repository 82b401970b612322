"""Spans that are not there, told apart by who has them on his conscience."""

from pathlib import Path
from typing import Any

from tests.unit.workloads.builders import Folder, plan
from workloads.checkers import durability, missing_spans
from workloads.history.history import HISTORY
from workloads.history.tables import opened
from workloads.verdict.result import MissingSpans

TRACE: list[str | None] = ["trace", "1", "tr-1", "tr-1"]


def span(number: int) -> list[str | None]:
    return ["span", "tr-1", f"{number:016x}", "ab-0"]


def judged(folder: Folder) -> MissingSpans | None:
    path = folder.save()
    with opened(path / HISTORY, path / "readback.jsonl") as tables:
        return missing_spans.judge(tables, durability.judge(tables))


def a_folder(path: Path) -> Folder:
    folder = Folder(path)
    folder.event("plan", 0, plan=plan().model_dump(mode="json"))
    return folder


def dropped(what: str, count: int, spans: int) -> dict[str, Any]:
    return {"what": what, "count": count, "spans": spans, "why": "the queue was full"}


def test_a_run_without_traces_has_none(tmp_path: Path) -> None:
    assert judged(a_folder(tmp_path)) is None


def test_each_is_counted_where_it_belongs(tmp_path: Path) -> None:
    folder = a_folder(tmp_path)
    folder.call(1, name="POST v1/traces", writes=[TRACE, span(1), span(2)])
    refused: dict[str, Any] = {"outcome": "fail", "error": "HTTP 413: too large"}
    folder.call(2, name="POST v1/traces", writes=[TRACE, span(3)], **refused)
    busy: dict[str, Any] = {"outcome": "info", "error": "HTTP 503: busy"}
    folder.call(3, name="POST v1/traces", writes=[TRACE, span(4)], **busy)
    folder.call(4, name="POST v1/traces", writes=[TRACE, span(4)])
    silent: dict[str, Any] = {"outcome": "info", "error": "ConnectionError: reset"}
    folder.call(5, name="POST v1/traces", writes=[TRACE, span(5)], **silent)
    folder.event("dropped_by_client", 6, **dropped("spans", 2, 10))
    folder.event("dropped_by_client", 7, **dropped("trace", 3, 0))
    folder.place("trace", "1", {"tr-1": ["tr-1"]})
    folder.place("span", "tr-1", {f"{n:016x}": ["ab-0"] for n in (1, 4)})
    missing = judged(folder)
    assert missing == MissingSpans(
        dropped_spans={"the queue was full": 10},
        dropped_traces={"the queue was full": 3},
        refused_spans=1,
        refused_traces=0,
        lost_spans=1,
        given_up_spans=1,
        given_up_traces=0,
        lost_traces=0,
    )
    assert missing_spans.said(missing) == (
        "Not there: 10 spans and 3 traces' own data that clients dropped, and told nobody (the "
        "queue was full); 1 spans and 0 traces that the server refused; 1 spans and 0 traces that "
        "clients gave up, as no answer came; 1 spans and 0 traces that it acknowledged and lost."
    )


def test_where_nothing_was_dropped_or_given_up_it_is_told_shortly() -> None:
    none: dict[str, Any] = {"dropped_spans": {}, "dropped_traces": {}, "refused_spans": 0}
    none |= {"refused_traces": 0, "lost_spans": 0, "lost_traces": 0}
    assert missing_spans.said(MissingSpans(**none)) == (
        "Not there: 0 spans and 0 traces' own data that clients dropped; 0 spans and 0 traces that "
        "the server refused; 0 spans and 0 traces that it acknowledged and lost."
    )
