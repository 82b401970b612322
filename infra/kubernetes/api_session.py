"""A session with a cluster's API that survives the expiry of a token or certificate.

When the API refuses its credentials, the kubeconfig is read again, and with it exec plugins (EKS:
15 min, GKE: an hour) and token files. The official client still interprets the kubeconfig; its
WebSocket client for asyncio, `kubernetes.aio`, knows neither `proxy-url` nor `tls-server-name`.
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
from infra.specification.error import SpecError

UNAUTHORIZED = 401
TIMEOUT_SECONDS = 5
RENEW_SECONDS = 20
"""How long to wait after a refusal before the kubeconfig, and with it a plugin, is read again."""

Answer = TypeVar("Answer")


class NoAnswerError(Exception):
    """The API gave no answer that can be used; the text is one line that says why."""


@dataclass(frozen=True)
class _Access:
    """What a kubeconfig contained when it was read."""

    host: str
    has_credentials: bool
    options: dict[str, Any]
    """Of every request: its headers, TLS and proxy."""


class ApiSession:
    """A client of the API of a context; use it with `async with`."""

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
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            url = access.host + path
            async with self._session.get(url, timeout=timeout, **access.options) as answer:
                answer.raise_for_status()
                return await answer.json()

        return await self._request(ask)

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
            return await asyncio.wait_for(opening, TIMEOUT_SECONDS)

        return await self._request(ask)

    async def _request(self, ask: Callable[[_Access], Awaitable[Answer]]) -> Answer:
        """Ask; if the credentials are refused, renew them and ask once more."""
        access = self._access
        try:
            try:
                return await ask(access)
            except aiohttp.ClientResponseError as error:
                if error.status != UNAUTHORIZED:
                    raise
            return await ask(await self._renewed(access))
        except aiohttp.ClientResponseError as error:
            raise NoAnswerError(f"the API refuses: {error.status} {error.message}") from None
        except TimeoutError:
            raise NoAnswerError(f"the API does not answer within {TIMEOUT_SECONDS} s") from None
        except (aiohttp.ClientError, OSError, json.JSONDecodeError) as error:
            raise NoAnswerError(f"the API does not answer: {error}") from None

    async def _renewed(self, refused: _Access) -> _Access:
        """Read the kubeconfig again, once for all requests that were refused at the same time."""
        async with self._renewing:
            if self._access is not refused:
                return self._access
            if time.monotonic() < self._renewed_at + RENEW_SECONDS:
                raise NoAnswerError("the API refuses the kubeconfig's credentials")
            self._renewed_at = time.monotonic()
            try:
                # In a thread: a plugin may be slow, and open connections go on meanwhile.
                access = await asyncio.to_thread(_read, self._context)
            except SpecError as error:
                raise NoAnswerError(str(error)) from None
            if not access.has_credentials:
                raise NoAnswerError("the kubeconfig gives no credentials any more")
            self._access = access
            return access


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
