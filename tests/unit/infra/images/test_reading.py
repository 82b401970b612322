"""Errors that tell of a request that cannot be read, and those that do not."""

# mypy: allow-untyped-calls

from collections.abc import Callable
from typing import Any

import pytest
from graphql import parse
from mlflow.utils.search_logged_model_utils import parse_filter_string
from mlflow.utils.search_utils import SearchLoggedModelsPaginationToken, SearchUtils

from infra.images.mlflow.stores.mlflow_bench_stores.reading import unread, unreadable


def error_of(call: Callable[[], Any]) -> Exception:
    with pytest.raises(Exception) as raised:  # noqa: PT011
        call()
    return raised.value


def refused(error: BaseException | None) -> str:
    mistake = unread(error)
    assert mistake is not None
    assert mistake.get_http_status_code() == 400
    return str(mistake.message)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: SearchUtils.parse_start_offset_from_page_token("W10="), "'list' object"),
        (lambda: SearchUtils.parse_start_offset_from_page_token("ÿ"), "only ASCII"),
        (lambda: SearchLoggedModelsPaginationToken.decode("bnVsbA=="), "'NoneType' object"),
        (lambda: SearchLoggedModelsPaginationToken.decode("garbage"), "Incorrect padding"),
        (lambda: parse_filter_string("metrics.m = 'x'"), "could not convert string to float"),
    ],
)
def test_what_is_raised_while_a_request_is_read(call: Callable[[], Any], says: str) -> None:
    told = refused(error_of(call))
    assert told.startswith("The request cannot be read: ")
    assert says in told


def test_an_experiment_s_id_that_is_no_number() -> None:
    assert (
        refused(error_of(lambda: int("abc"))) == "The request cannot be read: 'abc' is no number."
    )


def test_errors_of_the_server_stay_its_own() -> None:
    assert unread(None) is None
    assert unread(error_of(lambda: [][1])) is None
    assert unread(error_of(lambda: float("x"))) is None
    assert unread(error_of(lambda: parse("{"))) is None, "not within MLflow's own function"
    assert unread(OSError("gone")) is None


def scope(path: str = "/x", raw: bytes = b"/x", **headers: bytes) -> dict[str, Any]:
    given = [(name.replace("_", "-").encode(), value) for name, value in headers.items()]
    return {"path": path, "raw_path": raw, "headers": given}


@pytest.mark.parametrize(
    ("request_", "says"),
    [
        (scope("/a\ufffd", b"/a%ff"), "path is not UTF-8"),
        (scope(host=b"\xff\xfe"), "header Host is not UTF-8"),
        (scope(origin=b"\xff"), "header Origin is not UTF-8"),
        (scope(transfer_encoding=b"gzip, chunked"), "transfer coding is not 'chunked'"),
    ],
)
def test_a_request_whose_head_cannot_be_read(request_: dict[str, Any], says: str) -> None:
    told = unreadable(request_)
    assert told is not None
    assert says in told.message


@pytest.mark.parametrize(
    "request_",
    [
        scope(),
        scope("/a\ufffd", b"/a%EF%BF%BD"),
        scope(host="é".encode(), x=b"\xff"),
        scope(transfer_encoding=b"Chunked "),
    ],
)
def test_others_can(request_: dict[str, Any]) -> None:
    assert unreadable(request_) is None
