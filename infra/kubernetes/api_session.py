"""A session with a cluster's API that goes on when a token expires or a certificate is renewed.

The kubeconfig is read again where the API refuses what it gave: so exec plugins (EKS: 15 min, GKE:
an hour) and token files are asked anew. `kubernetes.stream.portforward` of the official client
takes a thread for each connection and keeps no bound on what it holds in memory, and the WebSocket
client of `kubernetes.aio` knows neither `proxy-url` nor `tls-server-name`; what a kubeconfig means
is theirs all the same.
"""

import asyncio
import json
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import aiohttp
from kubernetes.client.rest import should_bypass_proxies

from infra.kubernetes.access import configuration
from infra.spec import SpecError

UNAUTHORIZED = 401
ANSWER_SECONDS = 5
RENEW_SECONDS = 20
"""How long a refusal stands before the kubeconfig, and with it a plugin, is asked once more."""

Answer = TypeVar("Answer")


class NoAnswerError(Exception):
    """The API gave no answer that can be used; the text is one line that says why."""


@dataclass(frozen=True)
class _Access:
    """What a kubeconfig said at one time."""

    host: str
    has_credentials: bool
    options: dict[str, Any]
    """Of every request: its headers, TLS and proxy."""


class ApiSession:
    """Asks the API of a context, for as long as the `async with` lasts."""

    def __init__(self, context: str) -> None:
        """Read the kubeconfig; raises `SpecError` when it has no such context."""
        self._context = context
        self._access = _read(context)
        self._renewing = asyncio.Lock()
        self._renewed_at = -float(RENEW_SECONDS)

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def get(self, path: str) -> Any:
        """Return what is at `path`; raises `NoAnswerError`."""

        async def ask(access: _Access) -> Any:
            timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
            url = access.host + path
            async with self._session.get(url, timeout=timeout, **access.options) as answer:
                answer.raise_for_status()
                return await answer.json()

        return await self._asked(ask)

    async def connect(self, path: str, protocol: str) -> aiohttp.ClientWebSocketResponse:
        """Open a WebSocket; raises `NoAnswerError`."""

        async def ask(access: _Access) -> aiohttp.ClientWebSocketResponse:
            opening = self._session.ws_connect(
                access.host + path,
                protocols=(protocol,),
                max_msg_size=0,
                compress=0,
                **access.options,
            )
            return await asyncio.wait_for(opening, ANSWER_SECONDS)

        return await self._asked(ask)

    async def _asked(self, ask: Callable[[_Access], Awaitable[Answer]]) -> Answer:
        """Ask, and once more with another token or certificate where the first is refused."""
        access = self._access
        try:
            try:
                return await ask(access)
            except aiohttp.ClientResponseError as error:
                if error.status != UNAUTHORIZED:
                    raise
            return await ask(await self._another(access))
        except aiohttp.ClientResponseError as error:
            raise NoAnswerError(f"the API refuses: {error.status} {error.message}") from None
        except TimeoutError:
            raise NoAnswerError(f"the API does not answer within {ANSWER_SECONDS} s") from None
        except (aiohttp.ClientError, OSError, json.JSONDecodeError) as error:
            raise NoAnswerError(f"the API does not answer: {error}") from None

    async def _another(self, refused: _Access) -> _Access:
        """Return what the kubeconfig says now; many that are refused at once read it once."""
        async with self._renewing:
            if self._access is not refused:
                return self._access
            if time.monotonic() < self._renewed_at + RENEW_SECONDS:
                raise NoAnswerError("the API refuses the kubeconfig's credentials")
            self._renewed_at = time.monotonic()
            try:
                # A plugin may take its time; what is connected goes on meanwhile.
                found = await asyncio.to_thread(_read, self._context)
            except SpecError as error:
                raise NoAnswerError(str(error)) from None
            if not found.has_credentials:
                raise NoAnswerError("the kubeconfig gives no credentials any more")
            self._access = found
            return found


def _read(context: str) -> _Access:
    access = configuration(context)
    token = access.auth_settings().get("BearerToken", {}).get("value")
    options: dict[str, Any] = {
        "headers": {"Authorization": token} if token else {},
        "ssl": _tls(access),
        "server_hostname": access.tls_server_name,
    }
    if access.proxy and not should_bypass_proxies(access.host, access.no_proxy or ""):
        options["proxy"] = access.proxy
    return _Access(access.host, bool(token or access.cert_file), options)


def _tls(access: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=access.ssl_ca_cert)
    if not access.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if access.cert_file:
        context.load_cert_chain(access.cert_file, access.key_file)
    return context
