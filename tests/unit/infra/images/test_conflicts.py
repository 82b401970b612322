"""Writes that met another's are done again; of a batch of spans none is left out."""

# mypy: allow-untyped-calls

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.exc import StaleDataError

from infra.images.mlflow.stores.mlflow_bench_stores.conflicts import (
    ATTEMPTS,
    PAUSE_S,
    REPEATED,
    REPEATED_OF_MODELS,
    LeftOutError,
    again,
    models_again,
    once_each,
    writes_again,
)

UNIQUE, FOREIGN_KEY, DEADLOCK = "23505", "23503", "40P01"


def met(code: str | None = None) -> MlflowException:
    """Return an error of MLflow's, as its sessions make it from one of PostgreSQL's."""
    error = MlflowException("refused", error_code=BAD_REQUEST)
    error.__cause__ = (
        IntegrityError("INSERT", {}, _DatabaseError(code)) if code else StaleDataError()
    )
    return error


class _DatabaseError(Exception):
    def __init__(self, pgcode: str) -> None:
        super().__init__(pgcode)
        self.pgcode = pgcode


class Failing:
    """A write that fails so many times, and takes its arguments then."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error = error
        self.left = times
        self.calls: list[tuple[Any, ...]] = []

    def write(self, *args: Any) -> str:
        self.calls.append(args)
        if self.left:
            self.left -= 1
            raise self.error
        return "done"


@pytest.mark.parametrize("error", [met(UNIQUE), met(DEADLOCK), met()])
def test_what_met_another_is_done_again(error: MlflowException) -> None:
    pauses: list[float] = []
    failing = Failing(error, ATTEMPTS - 1)
    assert again(failing.write, pauses.append)("run", 5) == "done"
    assert failing.calls == [("run", 5)] * ATTEMPTS
    assert len(pauses) == ATTEMPTS - 1
    # A request has its place meanwhile, so pauses must be short.
    assert sum(pauses) < PAUSE_S * 2**ATTEMPTS


def test_the_last_attempt_s_error_is_told() -> None:
    failing = Failing(met(UNIQUE), ATTEMPTS)
    with pytest.raises(MlflowException, match="refused"):
        again(failing.write, lambda _: None)()
    assert len(failing.calls) == ATTEMPTS


@pytest.mark.parametrize(
    "error", [met(FOREIGN_KEY), MlflowException("of its own"), ValueError("another")]
)
def test_what_would_fail_again_is_tried_once(error: Exception) -> None:
    failing = Failing(error, 1)
    with pytest.raises(type(error)):
        again(failing.write, lambda _: None)()
    assert len(failing.calls) == 1


def span(trace_id: str, span_id: str, name: str = "") -> Any:
    return SimpleNamespace(trace_id=trace_id, span_id=span_id, name=name)


def test_spans_come_by_trace_and_once() -> None:
    spans = [span("b", "1"), span("a", "2", "first"), span("b", "0"), span("a", "2", "last")]
    assert [(found.trace_id, found.span_id, found.name) for found in once_each(spans)] == [
        ("a", "2", "last"),
        ("b", "1", ""),
        ("b", "0", ""),
    ]


class Store:
    """Leaves the traces of others out, as MLflow does, and says that all went well."""

    def __init__(self, others: Iterator[set[str]]) -> None:
        self.others = others
        self.stored: list[str] = []

    def log_spans(self, location: str, spans: list[Any]) -> list[Any]:
        kept = {span.trace_id for span in spans} - next(self.others)
        self._advance_db_payload_generations_for_db_span_writes(None, sorted(kept))
        self.stored += sorted(kept)
        return spans

    def start_trace(self, trace_info: Any) -> None:
        self._advance_db_payload_generations_for_db_span_writes(None, ["a"])

    def set_trace_tag(self) -> None:
        """Others that have to be there."""

    link_traces_to_run = link_prompts_to_trace = set_tag = set_trace_tag
    log_batch = log_inputs = record_logged_model = set_experiment_tag = set_trace_tag

    def _advance_db_payload_generations_for_db_span_writes(
        self, session: None, trace_ids: list[str]
    ) -> None:
        """Last thing of MLflow's transaction."""


def test_a_batch_is_stored_whole_once_others_are_done() -> None:
    class Whole(Store):
        pass

    writes_again(Whole)
    store = Whole(iter([{"b"}, {"a", "b"}, set()]))
    store.log_spans("0", [span("b", "1"), span("a", "1")])
    assert store.stored == ["a", "b"]
    store.start_trace(None)  # is of no batch


def test_a_batch_that_cannot_be_stored_whole_is_to_be_sent_again() -> None:
    class Whole(Store):
        pass

    writes_again(Whole)
    store = Whole(iter([{"b"}] * ATTEMPTS))
    with pytest.raises(LeftOutError, match="Spans of 1 traces met other writes") as caught:
        store.log_spans("0", [span("b", "1"), span("a", "1")])
    assert caught.value.get_http_status_code() == 503
    assert store.stored == []


@pytest.mark.parametrize(
    ("make", "name"),
    [(writes_again, name) for name in REPEATED]
    + [(models_again, name) for name in REPEATED_OF_MODELS],
)
def test_each_of_these_writes_is_done_again(make: Callable[[type[Any]], None], name: str) -> None:
    failing = Failing(met(UNIQUE), 1)

    class Meets(Store):
        pass

    for other in REPEATED_OF_MODELS:
        setattr(Meets, other, None)
    setattr(Meets, name, failing.write)
    make(Meets)
    assert getattr(Meets, name)("run") == "done"
    assert len(failing.calls) == 2
