"""What PostgreSQL cannot store is the client's mistake: 400, which no client sends again.

MLflow 3.17 answers 500 to a NUL character and to half of a surrogate pair. Clients take that for
the server's trouble, and send the same for minutes, with all the other spans of the batch.
"""

# mypy: allow-untyped-calls

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_STATE, ErrorCode

from .reading import unread

NUL = "A value has a NUL character, which PostgreSQL cannot store."
SURROGATE = "A value has half of a surrogate pair, which is no character and cannot be stored."


def refuse_unstorable(store: type[Any]) -> None:
    """Have sessions of `store`, a class of MLflow's, refuse values that cannot be stored."""
    make: Callable[..., None] = store.__init__

    @wraps(make)
    def made(self: Any, *args: Any, **kwargs: Any) -> None:
        make(self, *args, **kwargs)
        sessions = self.ManagedSessionMaker

        @contextmanager
        def session(*args: Any, **kwargs: Any) -> Iterator[Any]:
            try:
                with sessions(*args, **kwargs) as found:
                    yield found
            except MlflowException as error:
                mistake = _mistake(error.__cause__)
                if mistake is None:
                    raise
                raise mistake from error

        self.ManagedSessionMaker = session

    store.__init__ = made


def _mistake(cause: BaseException | None) -> MlflowException | None:
    if isinstance(cause, UnicodeEncodeError) and cause.reason == "surrogates not allowed":
        return _refused(SURROGATE)
    if isinstance(cause, ValueError) and "NUL (0x00)" in str(cause):
        return _refused(NUL)
    return unread(cause)


def _refused(why: str) -> MlflowException:
    error: MlflowException = MlflowException.invalid_parameter_value(why)
    return error


def need_an_experiment(store: type[Any]) -> None:
    """Have `start_trace` refuse a trace without an experiment, which MLflow answers with 500."""
    start: Callable[..., Any] = store.start_trace

    @wraps(start)
    def start_trace(self: Any, trace_info: Any) -> Any:
        if not trace_info.experiment_id:
            raise MlflowException.invalid_parameter_value("The trace names no experiment.")
        return start(self, trace_info)

    store.start_trace = start_trace


def rename_only_what_is_active(store: type[Any]) -> None:
    """Have `rename_experiment` refuse a deleted one with 400, which MLflow answers with 500."""
    rename: Callable[..., Any] = store.rename_experiment

    @wraps(rename)
    def rename_experiment(self: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return rename(self, *args, **kwargs)
        except MlflowException as error:
            if error.error_code != ErrorCode.Name(INVALID_STATE):
                raise
            raise _refused(error.message) from error

    store.rename_experiment = rename_experiment


def as_invalid(convert: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what reads OTLP's JSON, with a `ValueError` for JSON of another shape."""

    @wraps(convert)
    def converted(body: bytes) -> bytes:
        try:
            return convert(body)
        except (AttributeError, TypeError) as error:
            raise json.JSONDecodeError(str(error), "", 0) from error

    return converted
