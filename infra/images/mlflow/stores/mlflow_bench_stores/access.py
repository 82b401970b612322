"""Who asks: with MLflow's own users, each request brings a name and a password, or is refused.

MLflow's app (`mlflow.server.auth`) decides what a user may do. Who it is, it asks several times a
request, on the event loop for some routes: 50 to 100 ms of work each time. Here it is asked once,
before anything else, in a thread; and a password that matched a user's hash is not compared with
the same hash again. The user is read from the database each time, so that one who was removed, or
has another password, is refused by every worker from the next request on.
"""

# mypy: allow-untyped-calls

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anyio import CapacityLimiter, to_thread
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import (
    PERMISSION_DENIED,
    RESOURCE_ALREADY_EXISTS,
    ErrorCode,
)
from mlflow.utils.uri import validate_path_is_safe
from werkzeug.datastructures import Authorization
from werkzeug.security import check_password_hash, generate_password_hash

from .concurrency import ConcurrencyLimit, limited
from .oidc import ADMINISTRATOR, SETTINGS, RefusedError, SignOn
from .paths import clean
from .roles import refuse_several_roles

if TYPE_CHECKING:
    from flask import Flask
    from starlette.types import ASGIApp, Receive, Scope, Send

CONFIG = "MLFLOW_AUTH_CONFIG_PATH"
"""Variable that names MLflow's settings of users; without it nobody is asked who they are."""

KEY_FILE = Path("/run/secrets/server-key")
"""What forms of the web interface are signed with, the same for all replicas."""

PROBE_FILE = Path("/tmp/ready-token")
"""What the image's own check of readiness shows, made anew whenever the container starts."""

OPEN = ("/health", "/version")
OPEN_FOLDER = "/static-files/"
"""What anybody may read: nothing of it is anybody's."""

SERVER_INFO = ("/api/3.0/mlflow/server-info", "/ajax-api/3.0/mlflow/server-info")
"""What every user may know; MLflow tells it to everybody. Whole paths: a path of anybody's choice
may end like one."""

PROBED = (
    ("/api/2.0/mlflow/experiments/search", b"max_results=1"),
    ("/api/2.0/mlflow-artifacts/artifacts", b"path=.ready"),
)
"""What the check of readiness may ask, and nothing else."""

REMEMBERED = "MLFLOW_BENCH_REMEMBERED_PASSWORDS"
"""Variable with how many comparisons that matched a worker keeps; 0: it compares each time."""

MOST_REMEMBERED = 10_000

LOOKUPS = 4
"""Users that a worker looks up at once; each takes a connection."""

COMPARISONS = 1
"""Passwords that a worker compares at once, each 16 to 32 MiB and a core for some 50 ms: as many
wrong ones as there may be leave it the other cores."""

MOST_WAITING = 100
"""Comparisons that wait; what comes then is told to come again."""

GATEWAY_HEADER = b"x-mlflow-authorization"
"""Where requests to the gateway may have what others have in `Authorization`."""

PREFLIGHT = {b"origin", b"access-control-request-method"}
"""Headers of a browser's question before a request from another site's page."""

CHALLENGE = (b"www-authenticate", b'Basic realm="mlflow"')

UNKNOWN = "You are not authenticated: give the name and the password of a user of this server."


class BusyError(Exception):
    """Too many passwords wait to be compared."""


@dataclass(frozen=True)
class User:
    """A user as MLflow's table has them."""

    id: int
    username: str
    password_hash: str
    is_admin: bool


@dataclass(frozen=True)
class Asking:
    """Who sent the request in work."""

    user: User | None = None
    """None: nobody, with a request that anybody may send."""


_asking: ContextVar[Asking | None] = ContextVar("asking", default=None)
_PROBE = Asking(User(0, "", "", is_admin=True))


class Passwords:
    """Compares names and passwords with a table of users; only one event loop asks.

    `find` returns a user by name, or None, and may wait for the database.
    """

    def __init__(self, find: Callable[[str], User | None], remembered: int) -> None:
        self._find = find
        self._remembered = remembered
        self._matched: OrderedDict[bytes, None] = OrderedDict()
        self._running: dict[bytes, asyncio.Task[bool]] = {}
        # Of this process alone: what is kept is of no use to whoever gets hold of it.
        self._key = secrets.token_bytes(32)
        # Who is unknown takes as long as a wrong password.
        self._of_nobody = generate_password_hash(secrets.token_urlsafe())
        self._lookups = CapacityLimiter(LOOKUPS)
        self._comparisons = CapacityLimiter(COMPARISONS)

    async def find(self, name: str) -> User | None:
        """Return a user by name. Raises `MlflowException` where the database does not answer."""
        return await to_thread.run_sync(self._find, name, limiter=self._lookups)

    async def user(self, name: str, password: str) -> User | None:
        """Return whose name and password these are; None: nobody's.

        Raises `BusyError`, and `MlflowException` where the database does not answer.
        """
        found = await self.find(name)
        stored = found.password_hash if found else self._of_nobody
        content = f"{stored}\0{password}".encode()
        pair = hmac.digest(self._key, content, hashlib.sha256)
        if pair in self._matched:
            self._matched.move_to_end(pair)
            return found
        return found if await self._matches(pair, stored, password) else None

    async def _matches(self, pair: bytes, stored: str, password: str) -> bool:
        """Compare, once for all who ask the same at the same time."""
        if pair not in self._running:
            if len(self._running) >= MOST_WAITING:
                raise BusyError
            task = asyncio.create_task(self._compare(pair, stored, password))
            self._running[pair] = task
            task.add_done_callback(lambda _: self._running.pop(pair))
        # A client that goes away takes the answer from nobody else.
        return await asyncio.shield(self._running[pair])

    async def _compare(self, pair: bytes, stored: str, password: str) -> bool:
        matches = await to_thread.run_sync(
            check_password_hash, stored, password, limiter=self._comparisons
        )
        if matches:
            self._matched[pair] = None
        while len(self._matched) > self._remembered:
            self._matched.popitem(last=False)
        return matches


class Gate:
    """Lets requests to `application` through that say who sends them.

    With `sign_on`, a provider says who somebody is, and the administrator alone has a password.
    """

    def __init__(
        self,
        application: "ASGIApp",
        preflights: "ASGIApp",
        passwords: Passwords,
        probe: str,
        sign_on: SignOn | None = None,
    ) -> None:
        self._application = application
        self._preflights = preflights
        self._passwords = passwords
        self._probe = f"Bearer {probe}".encode()
        self._sign_on = sign_on

    async def answer(self, scope: "Scope", receive: "Receive", send: "Send") -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self._application(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        if _is_preflight(scope):
            await self._preflights(scope, receive, send)
            return
        try:
            if self._sign_on is not None and await self._sign_on.answers(scope, send):
                return
            asking = await self._who(scope)
            if asking is None and self._sign_on is not None:
                raise self._sign_on.challenge(scope)
        except RefusedError as refusal:
            await _answer(send, refusal.status, str(refusal), *refusal.headers)
            return
        except BusyError:
            await _answer(send, 429, "Too many passwords at once.", (b"retry-after", b"1"))
            return
        except MlflowException as error:
            await _answer(send, error.get_http_status_code(), "The users cannot be read.")
            return
        if asking is None:
            await _answer(send, 401, UNKNOWN, CHALLENGE)
            return
        token = _asking.set(asking)
        try:
            await self._application(scope, receive, send)
        finally:
            _asking.reset(token)

    async def _who(self, scope: "Scope") -> Asking | None:
        path, reads = scope["path"], scope["method"] in ("GET", "HEAD")
        if reads and (path in OPEN or path.startswith(OPEN_FOLDER)):
            return Asking()
        header = b"authorization"
        if path.startswith("/gateway/") and _values(scope, GATEWAY_HEADER) not in ([], [b""]):
            # The other one is for the provider of a model, and goes on to it.
            header = GATEWAY_HEADER
        given = _values(scope, header)
        # Of two, another program might believe the other one.
        if len(given) > 1:
            return None
        value = given[0] if given else b""
        probed = reads and (path, scope["query_string"]) in PROBED
        if probed and hmac.compare_digest(value, self._probe):
            return _PROBE
        pair = credentials(value)
        if self._sign_on is not None and (pair is None or pair[0] != ADMINISTRATOR):
            user = await self._sign_on.user(scope, value)
        else:
            user = None if pair is None else await self._passwords.user(*pair)
        return None if user is None else Asking(user)


def _is_preflight(scope: "Scope") -> bool:
    """Whether a browser asks what another site's page may send here; it does so as nobody."""
    given = {name for name, _ in scope["headers"]}
    return scope["method"] == "OPTIONS" and given >= PREFLIGHT


def _values(scope: "Scope", header: bytes) -> list[bytes]:
    return [value for name, value in scope["headers"] if name == header]


def credentials(header: bytes) -> tuple[str, str] | None:
    """Return the name and password of a header `Authorization: Basic …`; None for anything else."""
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        name, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    # PostgreSQL stores no NUL, and takes none in a question either.
    if not name or not colon or "\0" in name or "\0" in password:
        return None
    return name, password


def with_users(
    flask_app: "Flask", limit: ConcurrencyLimit
) -> tuple["ASGIApp", Callable[["ASGIApp"], "ASGIApp"]]:
    """Return MLflow's application with its users, and what asks, around all, who sends a request.

    Raises `MlflowException` where the users' tables are not what this mlflow needs.
    """
    os.environ["MLFLOW_FLASK_SERVER_SECRET_KEY"] = KEY_FILE.read_text().strip()
    # The schema job has made the administrator.
    os.environ["_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"] = "true"
    from fastapi import FastAPI
    from mlflow.server import auth as users_app
    from mlflow.server.auth.db import utils as tables
    from mlflow.server.fastapi_security import init_fastapi_security

    tables.migrate_if_needed = _never_migrate  # type: ignore[assignment]
    auth: Any = users_app
    application: ASGIApp = auth.create_app(flask_app)

    sessions = auth.store.ManagedSessionMaker
    auth.store.ManagedSessionMaker = limited(sessions, limit)

    def find(name: str) -> User | None:
        # Without a slot: it comes before the request, which waits for one.
        with sessions(read_only=True) as session:
            try:
                row = auth.store._get_user(session, name)
            except MlflowException:
                return None
            return User(row.id, row.username, row.password_hash, bool(row.is_admin))

    # It takes long, and writes what belongs to nobody; what undoes it is the administrator's.
    auth.BEFORE_REQUEST_VALIDATORS[auth.DEMO_GENERATE, "POST"] = lambda: False
    auth.authenticate_request = _authorization
    auth.sender_is_admin = lambda: _user().is_admin
    auth._authenticate_fastapi_request = lambda _: _user()
    auth.is_unprotected_route = _asks_nobody
    auth._canonical_artifact_proxy_path = _as_stored
    refuse_several_roles(auth)

    provided = SETTINGS in os.environ
    if provided:
        _by_group(auth)

    def create(name: str) -> None:
        try:
            auth.store.create_user(name, secrets.token_urlsafe(32))
        except MlflowException as error:
            # Another worker may have been faster.
            if error.error_code != ErrorCode.Name(RESOURCE_ALREADY_EXISTS):
                raise

    remembered = int(os.environ.get(REMEMBERED, MOST_REMEMBERED))
    # Nothing is behind it: what answers preflights can open nothing.
    preflights = FastAPI(openapi_url=None)
    init_fastapi_security(preflights)

    def gate(inner: "ASGIApp") -> "ASGIApp":
        probe = PROBE_FILE.read_text().strip()
        passwords = Passwords(find, remembered)
        sign_on = SignOn.read(passwords.find, create) if provided else None
        inside = Gate(inner, preflights, passwords, probe, sign_on)

        # A function, as uvicorn takes a method for an application of an older kind.
        async def whole(scope: "Scope", receive: "Receive", send: "Send") -> None:
            await inside.answer(scope, receive, send)

        return whole

    return application, gate


def _by_group(auth: Any) -> None:
    """Have MLflow take for an administrator whoever is one in the request in work."""
    get_user: Callable[[str], Any] = auth.store.get_user

    def of_the_request(name: str) -> Any:
        found = get_user(name)
        asking = _asking.get()
        if asking and asking.user and asking.user.username == name:
            found.is_admin = asking.user.is_admin
        return found

    auth.store.get_user = of_the_request
    for name in ("update_user", "delete_user"):
        setattr(auth.store, name, _but_of_the_administrator(getattr(auth.store, name)))
    # The web interface then offers no change of a password, of which there is none.
    auth.auth_config = auth.auth_config._replace(authorization_function=__name__)
    auth._authenticate_custom_for_fastapi = lambda _: _user()


def _but_of_the_administrator(change: Callable[..., None]) -> Callable[..., None]:
    """Return a change of a user, which only the administrator's password makes in `admin`.

    Whoever is an administrator by a group for a while could else stay one by that password.
    """

    def changed(username: str, *arguments: Any, **options: Any) -> None:
        if username == ADMINISTRATOR and _user().username != ADMINISTRATOR:
            raise MlflowException(
                f"{ADMINISTRATOR} is the stack's own: only its password may change it.",
                PERMISSION_DENIED,
            )
        change(username, *arguments, **options)

    return changed


def permitted(artifacts: "ASGIApp") -> "ASGIApp":
    """Return the routes of artifacts for those who may; without a layer on the way of bodies."""
    from mlflow.server import auth
    from starlette.requests import Request

    async def application(scope: "Scope", receive: "Receive", send: "Send") -> None:
        user = _user()
        if not user.is_admin:
            # Whoever may read a file may ask how large it is.
            method = "GET" if scope["method"] == "HEAD" else scope["method"]
            validator = auth._find_fastapi_validator(scope["path"], method)
            try:
                may = validator and await validator(user.username, Request(scope))
            except MlflowException as error:
                await _answer(send, error.get_http_status_code(), error.message)
                return
            if not may:
                await _answer(send, 403, "Permission denied")
                return
        await artifacts(scope, receive, send)

    return application


def _never_migrate(engine: Any, _revision: str) -> None:
    """Compare the revision of the users' tables with this mlflow's, and change nothing."""
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory
    from mlflow.server.auth.db import utils as tables

    head = ScriptDirectory.from_config(tables._get_alembic_config("")).get_current_head()
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": "alembic_version_auth"}
        )
        found = context.get_current_revision()
    if found != head:
        raise MlflowException(
            f"the users' tables are at revision {found}, and this mlflow needs {head}: "
            "run the schema job"
        )


def _asks() -> Asking:
    """Return who sent the request in work."""
    asking = _asking.get()
    if asking is None:
        raise MlflowException("a request that has not passed the gate")
    return asking


def _asks_nobody(path: str) -> bool:
    """Whether MLflow need not look who asks: the gate has let nobody in, or anybody may know."""
    return _asks().user is None or path in SERVER_INFO


def _as_stored(path: str) -> str | None:
    """Return what a path of an artifact is to the stores; None: nothing that may be asked for.

    MLflow decides by the experiment and the run that a path begins with, and takes `./1/…` or
    `1/./…` for none of either; the stores take it for the same file.
    """
    try:
        return clean(validate_path_is_safe(path)) or None
    except MlflowException:
        return None


def asking_user() -> User | None:
    """Return who sent the request in work; None: nobody, with one that anybody may send."""
    return _asks().user


def _user() -> User:
    user = _asks().user
    if user is None:
        raise MlflowException("nobody asks for what belongs to somebody")
    return user


def _authorization() -> Authorization:
    return Authorization("basic", {"username": _user().username})


async def _answer(send: "Send", status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
    codes = {
        401: "UNAUTHENTICATED",
        403: "PERMISSION_DENIED",
        429: "REQUEST_LIMIT_EXCEEDED",
        503: "TEMPORARILY_UNAVAILABLE",
    }
    content = json.dumps({"error_code": codes.get(status, "INTERNAL_ERROR"), "message": message})
    body = content.encode()
    head = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
