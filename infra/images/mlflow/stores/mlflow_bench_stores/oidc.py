"""Who asks, by an OpenID provider: people with a browser, jobs with a bearer token.

Each token is verified here, at each request; nothing in front of the server is believed. Whoever
comes for the first time becomes a user of MLflow's, with a password that nobody knows, and may do
what users are given permissions for. Who is an administrator by a group is one for that request,
and is stored nowhere; what MLflow's table says of that holds for nobody here. The stack's own
administrator alone still has a password.
"""

import base64
import html
import json
import os
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, urlencode

from anyio import CapacityLimiter, fail_after, to_thread
from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.requests_client import OAuth2Session  # type: ignore[import-untyped]

from .oidc_cookies import SESSION, SIGN_IN, SIGN_IN_SECONDS, Cookies, value_of
from .oidc_provider import (
    BROKEN,
    PATIENCE,
    Known,
    Provider,
    ProviderError,
    Settings,
    TokenError,
)

if TYPE_CHECKING:
    from starlette.types import Scope, Send

    from .access import User

SETTINGS = "MLFLOW_BENCH_OIDC_SETTINGS"
"""Variable that names the file with what a server knows of its provider."""

CLIENT_SECRET_FILE = Path("/run/secrets/oidc-client-secret")

LOGIN, CALLBACK, LOGOUT = "/oidc/login", "/oidc/callback", "/oidc/logout"

ADMINISTRATOR = "admin"
"""Who has a password; no provider may name somebody so."""

LONGEST_NAME = 255
"""Characters that MLflow's table of users has room for."""

READS = ("GET", "HEAD", "OPTIONS")

AT_ONCE = 4
"""Codes that a worker exchanges at once, and users that it makes at once."""

MOST_WAITING = 20
"""Codes that wait to be exchanged; who comes then is told to come again."""

ANSWER_SECONDS = 25
"""The provider has so long for a code, with what waits before: whoever passes requests on here
takes a server for frozen after 30 s."""

_HOST = re.compile(r"([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(:\d{1,5})?")

Asked = Mapping[str, str]
"""Parameters of an address, by name."""


class RefusedError(Exception):
    """Somebody who is known, or a token, is not let in."""

    def __init__(self, status: int, message: str, *headers: tuple[bytes, bytes]) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


@dataclass(frozen=True)
class Person:
    """Who a token is of."""

    name: str
    groups: tuple[str, ...]
    """Of all that the token has, those that something here depends on."""
    is_admin: bool


def person(claims: Mapping[str, Any], settings: Settings) -> Person:
    """Return who `claims` are of. Raises `RefusedError` for somebody who may not come in."""
    claim = settings.username_claim
    name = claims.get(claim)
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME:
        raise RefusedError(403, f"The token's claim {claim} is no name of a user.")
    if not name.isprintable() or name != name.strip():
        raise RefusedError(403, f"The token's claim {claim} has white space or signs in it.")
    if name.casefold() == ADMINISTRATOR:
        raise RefusedError(403, f"Nobody is called {name} but the administrator of the stack.")
    if claim == "email" and claims.get("email_verified", True) not in (True, "true"):
        raise RefusedError(403, "The address of the token is not verified (email_verified).")
    return in_groups(name, _groups(claims, settings), settings)


def in_groups(name: str, groups: tuple[str, ...], settings: Settings) -> Person:
    """Return a person of these groups. Raises `RefusedError` where none of them is let in."""
    if settings.allowed_groups and not set(groups) & {
        *settings.allowed_groups,
        *settings.admin_groups,
    }:
        raise RefusedError(403, "You are in none of the groups that may use this server.")
    return Person(name, groups, bool(set(groups) & set(settings.admin_groups)))


def _groups(claims: Mapping[str, Any], settings: Settings) -> tuple[str, ...]:
    found = claims.get(settings.groups_claim)
    listed = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    asked = {*settings.allowed_groups, *settings.admin_groups}
    return tuple(sorted(asked & {each for each in listed if isinstance(each, str)}))


class SignOn:
    """Tells who sends a request, and serves the addresses by which a browser signs in.

    `find` returns a user of MLflow's by name, or None; `create` makes one, who may be there
    already, and may wait for the database.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        client_secret: str,
        key: str,
        find: Callable[[str], Awaitable["User | None"]],
        create: Callable[[str], None],
    ) -> None:
        self._provider, self._settings = provider, provider.settings
        self._client_secret = client_secret
        self._find, self._create = find, create
        purpose = _purpose(self._settings)
        self._sessions = Cookies(SESSION, self._settings.session_seconds, key, purpose)
        self._sign_ins = Cookies(SIGN_IN, SIGN_IN_SECONDS, key, purpose)
        # Apart: whoever sends codes that are none keeps no new user waiting.
        self._exchanges, self._new_users = CapacityLimiter(AT_ONCE), CapacityLimiter(AT_ONCE)
        self._coming_back = 0

    @classmethod
    def read(
        cls, find: Callable[[str], Awaitable["User | None"]], create: Callable[[str], None]
    ) -> "SignOn":
        """Return that of a server, from its files."""
        return cls(
            Provider(Settings.read(Path(os.environ[SETTINGS]))),
            client_secret=CLIENT_SECRET_FILE.read_text().strip(),
            key=os.environ["MLFLOW_FLASK_SERVER_SECRET_KEY"],
            find=find,
            create=create,
        )

    async def user(self, scope: "Scope", authorization: bytes) -> "User | None":
        """Return who sends a request with this value of `Authorization`, empty without one.

        None: nobody. Raises `RefusedError` for somebody who is not let in, and `MlflowException`
        where the database does not answer.
        """
        if not authorization:
            kept = self._of_session(scope)
            found, number = kept or (None, None)
            user = await self._find(found.name) if found else None
            if user is not None and user.id != number:
                return None  # Who had the name was removed since.
        else:
            found = await self._of_token(authorization)
            user = await self._known(found) if found else None
        if found is None or user is None:
            return None
        # What the table has would outlive the group, and anybody of it may write there.
        return replace(user, is_admin=found.is_admin)

    async def _of_token(self, authorization: bytes) -> Person | None:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not token:
            return None
        try:
            claims = await self._provider.claims(token)
        except TokenError as error:
            header = f'Bearer realm="mlflow", error="invalid_token", error_description="{error}"'
            raise RefusedError(
                401, f"The token is refused: {error}.", (b"www-authenticate", header.encode())
            ) from None
        except ProviderError as error:
            raise self._unavailable(error) from None
        return person(claims, self._settings)

    def _of_session(self, scope: "Scope") -> tuple[Person, int] | None:
        """Return whom a session is of, and the number that this person had as a user."""
        kept = self._sessions.read(scope, tls=self._is_tls(scope))
        if kept is None:
            return None
        if not self._is_of_own_page(scope):
            raise RefusedError(403, "A page of another site may not use your session here.")
        return in_groups(kept["name"], tuple(kept["groups"]), self._settings), kept["id"]

    async def _known(self, found: Person) -> "User | None":
        """Return somebody as a user of MLflow's, who is made at the first sight."""
        user = await self._find(found.name)
        if user is None:
            await to_thread.run_sync(self._create, found.name, limiter=self._new_users)
            user = await self._find(found.name)
        return user

    def challenge(self, scope: "Scope") -> RefusedError:
        """Return what to answer somebody who does not say who it is."""
        if _wants_a_page(scope):
            query = scope["query_string"].decode("latin-1")
            path = quote(scope["path"]) + (f"?{query}" if query else "")
            address = f"{LOGIN}?{urlencode({'next': path})}"
            return RefusedError(302, "Sign in.", (b"location", address.encode()))
        return RefusedError(
            401,
            f"You are not authenticated: give a bearer token of {self._settings.issuer} "
            f"(MLFLOW_TRACKING_TOKEN), or sign in with a browser at {LOGIN}.",
            (b"www-authenticate", b'Bearer realm="mlflow"'),
        )

    def _unavailable(self, error: ProviderError) -> RefusedError:
        return RefusedError(
            503,
            f"Nobody can be let in: the identity provider {self._settings.issuer} could not be "
            f"asked yet ({error}).",
            (b"retry-after", b"5"),
        )

    async def answers(self, scope: "Scope", send: "Send") -> bool:
        """Answer what belongs to signing in; False: the request is for something else.

        Raises `MlflowException` where the database does not answer.
        """
        pages = {LOGIN: self._login, CALLBACK: self._callback, LOGOUT: self._logout}
        page = pages.get(scope["path"])
        if page is None:
            return False
        asked = _parameters(scope)
        # The log of requests then has no code of a person's in it.
        scope["query_string"] = b""
        try:
            if scope["method"] not in ("GET", "HEAD"):
                raise RefusedError(405, "This address is for browsers.", (b"allow", b"GET, HEAD"))
            if not _HOST.fullmatch(value_of(scope, b"host")):
                raise RefusedError(400, "The request names no host.")
            await page(scope, asked, send)
        except ProviderError as error:
            await _page(send, self._unavailable(error))
        except RefusedError as refusal:
            await _page(send, refusal)
        return True

    async def _login(self, scope: "Scope", asked: Asked, send: "Send") -> None:
        """Send a browser to the provider."""
        known = await self._provider.known()
        # Of a sign-in that was begun in another window, so that both come to an end.
        begun = self._sign_ins.read(scope, tls=self._is_tls(scope)) or {
            name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")
        }
        begun["next"] = _own_path(asked.get("next", "/"))
        address, _ = self._client(scope, known).create_authorization_url(
            known.endpoint("authorization_endpoint"),
            state=begun["state"],
            nonce=begun["nonce"],
            code_verifier=begun["verifier"],
        )
        try:
            cookie = self._sign_ins.header(scope, begun, tls=self._is_tls(scope))
        except ValueError:
            begun["next"] = "/"
            cookie = self._sign_ins.header(scope, begun, tls=self._is_tls(scope))
        await _redirect(send, address, cookie)

    async def _callback(self, scope: "Scope", asked: Asked, send: "Send") -> None:
        """Take a browser back from the provider, with a code for an ID token."""
        tls = self._is_tls(scope)
        begun = self._sign_ins.read(scope, tls=tls)
        state = asked.get("state", "")
        if begun is None or not secrets.compare_digest(begun["state"].encode(), state.encode()):
            if self._sessions.read(scope, tls=tls) is not None:
                await _redirect(send, "/")  # Another window was faster.
                return
            raise RefusedError(400, "This sign-in was not begun in this browser, or too long ago.")
        ended = self._sign_ins.header(scope, None, tls=tls)
        if "error" in asked:
            detail = asked.get("error_description") or asked["error"]
            raise RefusedError(403, f"The identity provider refuses: {detail}", ended)
        if asked.get("iss", self._settings.issuer) != self._settings.issuer or "code" not in asked:
            raise RefusedError(400, "This is no answer of the identity provider.", ended)
        known = await self._provider.known()
        token = await self._token(scope, known, asked["code"], begun["verifier"], ended)
        try:
            session = await self._session(scope, token, begun["nonce"])
        except RefusedError as refusal:
            refusal.headers += (ended,)
            raise
        await _redirect(send, begun["next"], ended, session)

    async def _session(self, scope: "Scope", token: str, nonce: str) -> tuple[bytes, bytes]:
        """Return the header that gives a browser the session of an ID token's person."""
        client_id = self._settings.client_id
        try:
            claims = await self._provider.claims(token, client_id, nonce)
            if claims.get("azp", client_id) != client_id:
                raise TokenError("it is for another client")
        except TokenError as error:
            raise RefusedError(403, f"The identity provider's token is refused: {error}.") from None
        found = person(claims, self._settings)
        user = await self._known(found)
        if user is None:
            raise RefusedError(403, "Somebody removed you just now.")
        kept = {"name": found.name, "groups": list(found.groups), "id": user.id}
        try:
            return self._sessions.header(scope, kept, tls=self._is_tls(scope))
        except ValueError:
            raise RefusedError(403, "You are in too many of the groups of this server.") from None

    async def _token(
        self, scope: "Scope", known: Known, code: str, verifier: str, ended: tuple[bytes, bytes]
    ) -> str:
        """Return the ID token for a code, or have a browser of too many come again.

        A refusal has `ended` where the code is good no more.
        """
        if self._coming_back >= AT_ONCE + MOST_WAITING:
            raise RefusedError(
                429, "Too many people sign in: load this page again.", (b"retry-after", b"1")
            )
        self._coming_back += 1
        try:
            with fail_after(ANSWER_SECONDS):
                return await to_thread.run_sync(
                    self._exchange,
                    scope,
                    known,
                    code,
                    verifier,
                    limiter=self._exchanges,
                    abandon_on_cancel=True,
                )
        except TimeoutError:
            raise ProviderError(f"no token in {ANSWER_SECONDS} s") from None
        except RefusedError as refusal:
            refusal.headers += (ended,)
            raise
        finally:
            self._coming_back -= 1

    def _exchange(self, scope: "Scope", known: Known, code: str, verifier: str) -> str:
        """Return the ID token for a code. Raises `RefusedError`, `ProviderError`."""
        with self._client(scope, known) as client:
            try:
                tokens = client.fetch_token(
                    known.endpoint("token_endpoint"),
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=verifier,
                    timeout=PATIENCE,
                    verify=self._settings.verify,
                    allow_redirects=False,
                )
            except BROKEN as error:
                raise ProviderError(type(error).__name__) from None
            except AuthlibBaseError as error:
                raise RefusedError(
                    403, f"The identity provider gives no token: {error.description or error.error}"
                ) from None
        token = tokens.get("id_token")
        if not isinstance(token, str):
            raise RefusedError(403, "The identity provider gives no ID token.")
        return token

    def _client(self, scope: "Scope", known: Known) -> Any:
        methods = known.listed("token_endpoint_auth_methods_supported")
        in_body = methods and "client_secret_basic" not in methods
        scopes = ["openid", "profile", "email", self._settings.groups_claim]
        supported = known.listed("scopes_supported") or scopes[:3]
        client = OAuth2Session(
            self._settings.client_id,
            self._client_secret,
            token_endpoint_auth_method="client_secret_post" if in_body else _basic,
            scope=" ".join(each for each in scopes if each in supported or each == "openid"),
            redirect_uri=f"{self._origin(scope)}{CALLBACK}",
            code_challenge_method="S256",
        )
        client.trust_env = False
        return client

    async def _logout(self, scope: "Scope", _asked: Asked, send: "Send") -> None:
        """Have a browser forget its session; that at the provider is not touched."""
        cookie = self._sessions.header(scope, None, tls=self._is_tls(scope))
        try:
            end = (await self._provider.known()).metadata.get("end_session_endpoint")
        except ProviderError:
            end = None
        links = {"Sign in again": "/"}
        if isinstance(end, str) and end.startswith(("https://", "http://")):
            links["Sign out of the identity provider, too"] = end
        await _page(send, RefusedError(200, "You are signed out of MLflow.", cookie), links)

    def _is_tls(self, scope: "Scope") -> bool:
        # A proxy in front may end TLS. Who claims so falsely misleads nobody but himself: the
        # provider sends browsers to addresses only that it was told before.
        return self._settings.tls or value_of(scope, b"x-forwarded-proto") == "https"

    def _is_of_own_page(self, scope: "Scope") -> bool:
        """Whether a request is sent by a page of this server, or by no page at all.

        A page of another port is not, though cookies go to it and MLflow lets it read answers.
        """
        site, origin = value_of(scope, b"sec-fetch-site"), value_of(scope, b"origin")
        if scope["method"] in READS and not origin:
            # Whoever follows a link is sent on; no page sees what comes.
            is_opened = value_of(scope, b"sec-fetch-mode") == "navigate"
            return is_opened or site in ("", "none", "same-origin")
        if site:
            return site == "same-origin"
        # A browser that is older than the header, if any, says where its page is from.
        return not origin or origin.lower() == self._origin(scope)

    def _origin(self, scope: "Scope") -> str:
        scheme = "https" if self._is_tls(scope) else "http"
        return f"{scheme}://{value_of(scope, b'host').lower()}"


def _purpose(settings: Settings) -> str:
    """Return what a cookie is for: under other settings of names and groups, it is none."""
    return json.dumps(
        [
            settings.issuer,
            settings.client_id,
            settings.username_claim,
            settings.groups_claim,
            settings.admin_groups,
            settings.allowed_groups,
        ]
    )


def _basic(client: Any, _method: str, uri: str, headers: Any, body: Any) -> Any:
    """Give the client's secret by RFC 6749, section 2.3.1: as a form has it, and then encoded."""
    pair = ":".join(quote(each, safe="") for each in (client.client_id, client.client_secret))
    headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
    return uri, headers, body


def _parameters(scope: "Scope") -> Asked:
    """Return the parameters of a query; of one that comes twice, nothing."""
    found = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _own_path(path: str) -> str:
    """Return a path of this server, as what a browser may be sent on to."""
    is_own = path.startswith("/") and not path.startswith(("//", "/\\", "/oidc/"))
    return path if is_own and path.isascii() and path.isprintable() else "/"


def _wants_a_page(scope: "Scope") -> bool:
    """Whether a person opens an address, rather than a script or a program."""
    return (
        scope["method"] == "GET"
        and "text/html" in value_of(scope, b"accept")
        and value_of(scope, b"sec-fetch-mode") in ("", "navigate")
        and not value_of(scope, b"authorization")
    )


_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
]


async def _redirect(send: "Send", address: str, *headers: tuple[bytes, bytes]) -> None:
    head = [(b"location", address.encode()), (b"content-length", b"0"), *_HEADERS, *headers]
    await send({"type": "http.response.start", "status": 303, "headers": head})
    await send({"type": "http.response.body", "body": b""})


async def _page(send: "Send", said: RefusedError, links: Mapping[str, str] | None = None) -> None:
    links = links or {"Sign in again": LOGIN}
    listed = "".join(
        f'<p><a href="{html.escape(address)}">{html.escape(text)}</a></p>'
        for text, address in links.items()
    )
    text = f"<!doctype html><title>MLflow</title><p>{html.escape(str(said))}</p>{listed}"
    body = text.encode()
    head = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        *_HEADERS,
        *said.headers,
    ]
    await send({"type": "http.response.start", "status": said.status, "headers": head})
    await send({"type": "http.response.body", "body": body})
