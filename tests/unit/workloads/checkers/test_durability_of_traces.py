"""Traces and spans in hand-written histories: late ones, repeated ones, deleted ones, lost ones."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.workloads.builders import MS, ReadBack, S, operation, write
from tests.unit.workloads.checkers.test_durability import judged, read
from workloads.history.history import Kind, Operation, Write
from workloads.verdict.result import DurabilityVerdict

T = "tr-1"
TRACE = write(Kind.TRACE, "1", T, T)
ROOT = write(Kind.SPAN, T, "a1", "11-0")
CHILD = write(Kind.SPAN, T, "b2", "22-3")


def at(second: float, *writes: Write, **changes: Any) -> Operation:
    began = int(second * S)
    times = {"invoked_ns": began, "completed_ns": began + 10 * MS}
    return operation(*writes, name="POST v1/traces", **times | changes)


def there(*others: tuple[Kind, str, dict[str, list[str]]]) -> ReadBack:
    return read(
        (Kind.TRACE, "1", {T: [T]}),
        (Kind.SPAN, T, {"a1": ["11-0"], "b2": ["22-3"]}),
        (Kind.FIELD, T, {"request_time": ["7"], "state": ["OK"]}),
        (Kind.TAG, T, {"mlflow.artifactLocation": ["x"]}),
        *others,
    )


def time(ms: int) -> Write:
    return write(Kind.FIELD, T, "request_time", str(ms))


WHOLE = [at(1, TRACE, CHILD, time(9)), at(2, TRACE, ROOT, time(7))]


def test_spans_that_come_by_several_exports_and_what_the_server_makes_of_them() -> None:
    result = judged(WHOLE, {"address": there()})
    assert result.findings == []
    assert result.verdict is DurabilityVerdict.PASS


def test_the_earliest_time_stays_whatever_comes_later() -> None:
    started = at(3, TRACE, time(7), write(Kind.FIELD, T, "state", "OK"))
    late = at(4, TRACE, CHILD, time(9))
    assert judged([*WHOLE, started, late], {"address": there()}).findings == []


def test_an_export_that_is_sent_again_makes_no_duplicate() -> None:
    lost_answer = at(1.5, TRACE, CHILD, time(9), outcome="info", completed_ns=None)
    result = judged([*WHOLE, lost_answer], {"address": there()})
    assert result.verdict is DurabilityVerdict.PASS


def test_what_a_server_derives_while_nobody_else_was_acknowledged() -> None:
    refused = at(3, write(Kind.FIELD, T, "request_preview", "as the client has it"), outcome="info")
    found = there()
    found.items[Kind.FIELD, T]["request_preview"] = ["as the server has it"]
    assert judged([*WHOLE, refused], {"address": found}).verdict is DurabilityVerdict.PASS
    result = judged([*WHOLE, at(4, *refused.writes)], {"address": found})
    assert result.kinds["field"].lost == 1


def lost_span(found: ReadBack) -> None:
    del found.items[Kind.SPAN, T]["b2"]


def changed_span(found: ReadBack) -> None:
    found.items[Kind.SPAN, T]["b2"] = ["23-3"]


def twice(found: ReadBack) -> None:
    found.items[Kind.TRACE, "1"][T] = [T, T]


def lost_trace(found: ReadBack) -> None:
    found.items[Kind.TRACE, "1"] = {}


def stranger(found: ReadBack) -> None:
    found.items[Kind.SPAN, T]["c3"] = ["33-0"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lost_span, f"lost: span b2 = 22-3 of trace {T}, acknowledged"),
        (changed_span, f"lost: span b2 = 22-3 of trace {T}, acknowledged"),
        (twice, f"duplicate: trace {T} of 1 has 2 values"),
        (lost_trace, f"lost: trace {T} of experiment 1, acknowledged"),
        (stranger, f"unexpected: span c3 = 33-0 of trace {T} was never attempted"),
    ],
)
def test_what_is_wrong_is_named(change: Any, said: str) -> None:
    found = there()
    change(found)
    result = judged(WHOLE, {"address": found})
    assert result.verdict is DurabilityVerdict.FAIL
    assert any(finding.startswith(said) for finding in result.findings), result.findings


def archive(**spans: list[str]) -> ReadBack:
    """The artifact store, with the archived spans of the trace."""
    found = read((Kind.SPAN, T, spans))
    return replace(found, holds=frozenset({Kind.ARTIFACT}), of_some=frozenset({Kind.SPAN}))


def test_of_archived_spans_the_store_is_one_more_source() -> None:
    other = write(Kind.SPAN, "tr-2", "c3", "33-0")
    operations = [*WHOLE, at(3, other)]
    kept = archive(a1=["11-0"], b2=["22-3"])

    def sources(store: ReadBack) -> dict[str, ReadBack]:
        both = there((Kind.SPAN, "tr-2", {"c3": ["33-0"]}))
        return {"mlflow-a-1": both, "postgres": both, "s3": store}

    # What is not archived, the store has not, and is not asked for.
    assert judged(operations, sources(kept)).verdict is DurabilityVerdict.PASS
    for store in (archive(a1=["11-0"]), archive(a1=["11-0"], b2=["23-3"])):
        result = judged(operations, sources(store))
        assert result.verdict is DurabilityVerdict.FAIL
        assert result.kinds["span"].lost == 1
        assert "absent in s3, present in mlflow-a-1, postgres" in result.findings[0]


def test_archived_spans_that_could_not_be_read_are_unknown() -> None:
    store = archive()
    found = {"address": there(), "s3": replace(store, unreadable=frozenset({(Kind.SPAN, T)}))}
    result = judged(WHOLE, found)
    assert result.verdict is DurabilityVerdict.UNKNOWN
    assert result.kinds["span"].unread == 2
    assert result.read_errors == [f"s3: span of {T}: no answer"]


def deleted(second: float, **changes: Any) -> Operation:
    gone = write(Kind.DELETION, T, "", None), write(Kind.TRACE, "1", T, None)
    return at(second, *gone, **changes)


def nothing() -> ReadBack:
    empty = read((Kind.TRACE, "1", {}))
    empty.items |= {(kind, T): {} for kind in (Kind.SPAN, Kind.FIELD, Kind.TAG)}
    return empty


def test_a_deletion_takes_spans_and_fields_along() -> None:
    operations = [*WHOLE, deleted(3)]
    assert judged(operations, {"address": nothing()}).verdict is DurabilityVerdict.PASS
    result = judged(operations, {"address": there()})
    assert {"trace", "span"} <= {kind for kind, sets in result.kinds.items() if sets.lost}
    assert any(f"lost: deletion of span a1 = 11-0 of trace {T}" in one for one in result.findings)


def test_a_span_after_the_deletion_makes_the_trace_again() -> None:
    again = read((Kind.TRACE, "1", {T: [T]}), (Kind.SPAN, T, {"b2": ["22-3"]}))
    again.items |= {(Kind.FIELD, T): {"request_time": ["9"]}, (Kind.TAG, T): {}}
    operations = [*WHOLE, deleted(3), at(4, TRACE, CHILD, time(9))]
    assert judged(operations, {"address": again}).verdict is DurabilityVerdict.PASS


LINK = write(Kind.LINK, "r1", T, "linked")


def links(found: ReadBack, **items: list[str]) -> ReadBack:
    found.items[Kind.LINK, "r1"] = items
    return found


HAS_IT = {T: ["linked"]}


def test_a_link_may_stay_when_its_trace_goes() -> None:
    kept = judged([*WHOLE, at(3, LINK)], {"address": links(there(), **HAS_IT)})
    assert kept.verdict is DurabilityVerdict.PASS
    lost = judged([*WHOLE, at(3, LINK)], {"address": links(there())})
    assert lost.kinds["trace link"].lost == 1
    operations = [*WHOLE, at(3, LINK), deleted(4)]
    for found in (links(nothing()), links(nothing(), **HAS_IT)):
        assert judged(operations, {"address": found}).verdict is DurabilityVerdict.PASS
