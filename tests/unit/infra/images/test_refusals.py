"""What cannot be stored is the client's mistake."""

# mypy: allow-untyped-calls

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR
from psycopg2.extensions import QuotedString

from infra.images.mlflow.stores.mlflow_bench_stores.refusals import (
    NUL,
    SURROGATE,
    as_invalid,
    need_an_experiment,
    refuse_unstorable,
)


class Store:
    """Has sessions that tell errors as MLflow's do."""

    def __init__(self) -> None:
        @contextmanager
        def session(read_only: bool = True) -> Iterator[str]:
            try:
                yield "session"
            except Exception as error:
                raise MlflowException(str(error), error_code=INTERNAL_ERROR) from error

        self.ManagedSessionMaker = session

    def start_trace(self, trace_info: Any) -> Any:
        return trace_info


@pytest.fixture
def store() -> Store:
    class Refusing(Store):
        pass

    refuse_unstorable(Refusing)
    need_an_experiment(Refusing)
    return Refusing()


def quote(value: str) -> bytes:
    """Send a value to PostgreSQL, as far as psycopg2 does it without a connection."""
    quoted = QuotedString(value)
    quoted.encoding = "utf_8"
    return bytes(quoted.getquoted())


@pytest.mark.parametrize(("value", "says"), [("a\0b", NUL), ("a\ud83eb", SURROGATE)])
def test_a_value_that_cannot_be_stored_is_refused(store: Store, value: str, says: str) -> None:
    with (
        pytest.raises(MlflowException, match=says) as caught,
        store.ManagedSessionMaker(read_only=False),
    ):
        quote(value)
    assert caught.value.get_http_status_code() == 400


def test_other_errors_stay(store: Store) -> None:
    with (
        pytest.raises(MlflowException, match="out of order") as caught,
        store.ManagedSessionMaker(),
    ):
        raise ValueError("out of order")
    assert caught.value.get_http_status_code() == 500


def test_a_session_is_the_store_s(store: Store) -> None:
    with store.ManagedSessionMaker() as session:
        assert session == "session"


def test_a_trace_needs_an_experiment(store: Store) -> None:
    with pytest.raises(MlflowException, match="names no experiment"):
        store.start_trace(SimpleNamespace(experiment_id=None))
    assert store.start_trace(SimpleNamespace(experiment_id="0")).experiment_id == "0"


def identifiers(body: bytes) -> bytes:
    """Read the body as MLflow does, which takes its shape for granted."""
    for resource in json.loads(body).get("resourceSpans", []):
        bytes.fromhex(resource.get("traceId", ""))
    return body


@pytest.mark.parametrize(
    "body", ["[]", '"x"', '{"resourceSpans": 5}', '{"resourceSpans": [{"traceId": 5}]}', "{"]
)
def test_json_of_another_shape_is_invalid(body: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        as_invalid(identifiers)(body.encode())


def test_json_of_spans_is_read() -> None:
    body = b'{"resourceSpans": []}'
    assert as_invalid(identifiers)(body) == body
