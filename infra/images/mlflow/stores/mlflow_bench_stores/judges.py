"""Judges of MLflow's jobs, who ask the gateway of their own server in the name of a user.

They have nobody's password: MLflow gives them a token that opens the gateway to the user whose job
it is, and nothing else. The image makes it whenever a server with jobs and users starts.
"""

# mypy: allow-untyped-calls

import hmac
from typing import TYPE_CHECKING

from anyio import to_thread
from mlflow.exceptions import MlflowException

from . import access

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

TOKEN = "_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN"
"""MLflow's variable of the token, which judges show in the place of a password."""

GATEWAY = "/gateway/"


def with_judges(gated: "ASGIApp", application: "ASGIApp", token: str) -> "ASGIApp":
    """Return `gated`, past whose gate judges come with `token` to the gateway of `application`."""

    async def whole(scope: "Scope", receive: "Receive", send: "Send") -> None:
        name = _named(scope, token)
        user = None if name is None else await to_thread.run_sync(_user, name)
        if user is None:
            await gated(scope, receive, send)
            return
        asking = access._asking.set(access.Asking(user))
        try:
            await application(scope, receive, send)
        finally:
            access._asking.reset(asking)

    return whole


def _named(scope: "Scope", token: str) -> str | None:
    """Return whose judge sent a request; None: nobody's, or it is not for the gateway."""
    if scope["type"] != "http" or not scope["path"].startswith(GATEWAY):
        return None
    headers = scope["headers"]
    if any(name == access.GATEWAY_HEADER for name, _ in headers):
        return None
    given = [value for name, value in headers if name == b"authorization"]
    pair = access.credentials(given[0]) if len(given) == 1 else None
    if pair is None or not hmac.compare_digest(pair[1].encode(), token.encode()):
        return None
    return pair[0]


def _user(name: str) -> access.User | None:
    from mlflow.server import auth

    try:
        found = auth.store.get_user(name)
    except MlflowException:
        return None
    return access.User(found.id, found.username, found.password_hash, bool(found.is_admin))
