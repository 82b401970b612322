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
                raise MlflowException.invalid_parameter_value(mistake) from error

        self.ManagedSessionMaker = session

    store.__init__ = made


def _mistake(cause: BaseException | None) -> str | None:
    if isinstance(cause, UnicodeEncodeError) and cause.reason == "surrogates not allowed":
        return SURROGATE
    if isinstance(cause, ValueError) and "NUL (0x00)" in str(cause):
        return NUL
    return None


def need_an_experiment(store: type[Any]) -> None:
    """Have `start_trace` refuse a trace without an experiment, which MLflow answers with 500."""
    start: Callable[..., Any] = store.start_trace

    @wraps(start)
    def start_trace(self: Any, trace_info: Any) -> Any:
        if not trace_info.experiment_id:
            raise MlflowException.invalid_parameter_value("The trace names no experiment.")
        return start(self, trace_info)

    store.start_trace = start_trace


def as_invalid(convert: Callable[[bytes], bytes]) -> Callable[[bytes], bytes]:
    """Return what reads OTLP's JSON, with a `ValueError` for JSON of another shape."""

    @wraps(convert)
    def converted(body: bytes) -> bytes:
        try:
            return convert(body)
        except (AttributeError, TypeError) as error:
            raise json.JSONDecodeError(str(error), "", 0) from error

    return converted
