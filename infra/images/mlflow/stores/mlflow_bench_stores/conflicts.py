"""Writes that met another's are done again, and a batch of spans is stored whole or not at all.

Several services send spans of the same traces at once, and the client that began a trace sends what
it knows of it beside them. MLflow 3.17 makes the row of a new trace for whoever comes first, in the
order of each batch: two batches with the same new traces wait for each other, PostgreSQL ends one
of them, and after the third time its spans are refused. And a batch that meets rows of others ten
times leaves the spans of those traces out, and is answered as if all were stored.

So it is with a tag, an alias or a data set that several clients write for the first time at once,
as all runs of a sweep do with their data: PostgreSQL refuses all but one, and MLflow answers 400.
"""

# mypy: allow-untyped-calls

import random
import time
from collections.abc import Callable, Iterable
from functools import wraps
from threading import local
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from sqlalchemy.orm.exc import StaleDataError

ATTEMPTS = 6
"""How often a write is tried. What it met has been stored or deleted by the next attempt."""

PAUSE_S = 0.02
"""Before the second attempt, at most; twice as long before each that follows."""

CONFLICTS = {
    "23505",  # another wrote the same row
    "40001",  # it could not be done as if alone
    "40P01",  # it and another waited for each other
}
"""PostgreSQL's codes for writes that may succeed when they are done again."""

REPEATED = (
    "link_prompts_to_trace",
    "link_traces_to_run",
    "log_batch",
    "log_inputs",
    "record_logged_model",
    "set_experiment_tag",
    "set_tag",
    "set_trace_tag",
)
"""Writes of MLflow's store of runs that leave the same when they are done twice, as `start_trace`
and `log_spans` do, or are one transaction, of which nothing stays when it meets another."""

REPEATED_OF_MODELS = (
    "set_model_version_tag",
    "set_registered_model_alias",
    "set_registered_model_tag",
)
"""The same of the store of registered models."""

Write = Callable[..., Any]


class LeftOutError(MlflowException):
    """Spans of a batch would be left out; the answer is 503, and clients send the batch again."""


def writes_again(store: type[Any]) -> None:
    """Have the writes of `store`, MLflow's class for tracking, done again where they met others."""
    _none_left_out(store)
    _done_again(store, (*REPEATED, "start_trace", "log_spans"))


def models_again(store: type[Any]) -> None:
    """The same for `store`, MLflow's class for registered models."""
    _done_again(store, REPEATED_OF_MODELS)


def _done_again(store: type[Any], names: Iterable[str]) -> None:
    for name in names:
        setattr(store, name, again(getattr(store, name)))


def again(write: Write, pause: Callable[[float], None] = time.sleep) -> Write:
    """Return `write` with more attempts where it met another's; the last one's error is raised."""

    @wraps(write)
    def attempts(*args: Any, **kwargs: Any) -> Any:
        for number in range(ATTEMPTS - 1):
            try:
                return write(*args, **kwargs)
            except MlflowException as error:
                if not _met_another(error):
                    raise
            pause(random.uniform(0, PAUSE_S * 2**number))  # noqa: S311
        return write(*args, **kwargs)

    return attempts


def _met_another(error: MlflowException) -> bool:
    cause = error.__cause__  # MLflow's errors have the database's as theirs
    code = getattr(getattr(cause, "orig", None), "pgcode", None)
    return code in CONFLICTS or isinstance(cause, StaleDataError) or isinstance(error, LeftOutError)


def once_each(spans: Iterable[Any]) -> list[Any]:
    """Return spans in the order of their traces, each once: the last of those with the same ids.

    All batches then lock the rows of traces in one order, and none waits for another in a circle.
    A batch with the same span twice is refused by PostgreSQL; in two batches, the last one stays.
    """
    last = {(span.trace_id, span.span_id): span for span in spans}
    return sorted(last.values(), key=lambda span: str(span.trace_id))


def _none_left_out(store: type[Any]) -> None:
    sent = local()
    log: Write = store.log_spans
    advance: Write = store._advance_db_payload_generations_for_db_span_writes

    @wraps(log)
    def log_spans(self: Any, location: str, spans: list[Any], *args: Any, **kwargs: Any) -> Any:
        spans = once_each(spans)
        sent.traces = {span.trace_id for span in spans}
        try:
            return log(self, location, spans, *args, **kwargs)
        finally:
            sent.traces = set()

    # The last of a batch, in its transaction, and of those of its traces that are not left out.
    @wraps(advance)
    def advance_kept(self: Any, session: Any, trace_ids: Iterable[str]) -> None:
        kept = list(trace_ids)
        left_out: set[str] = getattr(sent, "traces", set()) - set(kept)
        if left_out:
            raise LeftOutError(
                f"Spans of {len(left_out)} traces met other writes: send them again.",
                error_code=TEMPORARILY_UNAVAILABLE,
            )
        advance(self, session, kept)

    store.log_spans = log_spans
    store._advance_db_payload_generations_for_db_span_writes = advance_kept
