"""A request that cannot be read is the client's mistake: 400, with what is wrong.

MLflow 3.17 reads what clients send in many places that expect what its own client sends: a body
that is an object, a token that it gave itself, a number where there should be one. Python's own
error of each is answered with 500. Where it came from tells it from an error of the server: every
function here does nothing but read, or build a query of what it has read.
"""

# mypy: allow-untyped-calls

import errno
from collections.abc import Mapping
from traceback import walk_tb
from types import CodeType
from typing import Any
from urllib.parse import unquote_to_bytes

from mlflow.exceptions import MlflowException

READERS = {
    "Model.from_dict",
    "SearchLoggedModelsPaginationToken.decode",
    "SearchUtils.parse_start_offset_from_page_token",
    "SqlAlchemyStore._apply_filter_string_datasets_search_logged_models",
    "_get_normalized_request_json",
    "_get_request_json",
    "_get_request_message",
    "_get_validated_flask_request_json",
    "_graphql",
    "parse_filter_string",
}
"""Functions of MLflow; what a query of GraphQL does is not answered by an error of `_graphql`."""

ERRORS = (AttributeError, OSError, TypeError, ValueError, RecursionError, SyntaxError)
"""What Python says of a value of another kind or shape, and of a name that is too long."""

NO_NUMBER = "invalid literal for int() with base 10: "
"""Of an experiment's id, which MLflow turns into a number in the middle of its stores."""

LONG_NAME = "a file's name is too long"

SHOWN = 200
"""Characters of an error that the answer repeats."""


def unread(error: BaseException | None) -> MlflowException | None:
    """Return what to answer if reading a request raised the error, else None."""
    if error is None:
        return None
    if isinstance(error, ValueError) and str(error).startswith(NO_NUMBER):
        return _mistake(f"{str(error).removeprefix(NO_NUMBER)} is no number")
    if isinstance(error, OSError):
        return _mistake(LONG_NAME) if error.errno == errno.ENAMETOOLONG else None
    if isinstance(error, ERRORS) or _is_of_graphql(error):
        readers = [frame.f_code for frame, _ in walk_tb(error.__traceback__)]
        if any(_reads(code) for code in readers):
            return _mistake(str(error))
    return None


def _reads(code: CodeType) -> bool:
    return "/mlflow/" in code.co_filename and code.co_qualname in READERS


def _is_of_graphql(error: BaseException) -> bool:
    return type(error).__module__.startswith("graphql.error")


def _mistake(why: str) -> MlflowException:
    error: MlflowException = MlflowException.invalid_parameter_value(
        f"The request cannot be read: {why[:SHOWN]}."
    )
    return error


def unreadable(scope: Mapping[str, Any]) -> MlflowException | None:
    """Return what to answer to a request (ASGI) whose path or headers cannot be read, else None."""
    # Two paths that are not UTF-8 would be one and the same.
    if "\ufffd" in scope["path"] and not _is_text(unquote_to_bytes(scope["raw_path"])):
        return _mistake("its path is not UTF-8")
    for name, value in scope["headers"]:
        if name in (b"host", b"origin") and not _is_text(value):
            return _mistake(f"its header {name.decode().capitalize()} is not UTF-8")
        # The server takes the chunks apart; what another coding made would be stored as it is.
        if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
            return _mistake("its transfer coding is not 'chunked'")
    return None


def _is_text(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
