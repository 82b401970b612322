"""An OpenID provider: what it says of itself, and whether a token is one of its.

Its keys are fetched when they are first needed, again once in a while, and when a token names one
that is not known. Where it does not answer, those that it gave before are used on: whoever has a
token goes on working.
"""

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests
from anyio import to_thread
from joserfc import jwt
from joserfc.errors import (
    BadSignatureError,
    ExpiredTokenError,
    InvalidClaimError,
    InvalidKeyIdError,
    JoseError,
    MissingClaimError,
    UnsupportedAlgorithmError,
)
from joserfc.jwk import JWKRegistry, KeySet
from joserfc.jws import JWSRegistry, extract_compact
from joserfc.jwt import ClaimsOption

DISCOVERY = "/.well-known/openid-configuration"

ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
"""By a private key, which only the provider has."""

KEY_TYPES = ("RSA", "EC", "OKP")

TOKEN_TYPES = ("", "jwt", "at+jwt", "application/at+jwt")
"""What a token may call itself in its header; a logout token, for one, lets nobody in."""

LEEWAY_SECONDS = 30
"""By so much the clocks of the provider and of a server may differ."""

REFRESHED_SECONDS = 600
"""After so long the keys are fetched again, while they are used; after twice that, before. So
long at most a key that the provider has withdrawn is used, while the provider answers."""

PAUSE_SECONDS = 5
"""A worker asks the provider no more often, whatever tokens come."""

BROKEN = (OSError, ValueError, RecursionError)
"""What `requests` raises where the provider, its answer, or the file of its authority is none."""

PATIENCE = (3.05, 5)
"""Seconds to connect, and between two pieces of an answer."""

_logger = logging.getLogger(__name__)


class ProviderError(Exception):
    """The provider cannot be asked."""


class TokenError(Exception):
    """A token lets nobody in; the message, of one line, says why and shows nothing of it."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What a server knows of its provider; none is secret."""

    issuer: str
    client_id: str
    audience: str
    """Whom a bearer's token has to be for."""
    username_claim: str
    groups_claim: str
    admin_groups: tuple[str, ...] = ()
    allowed_groups: tuple[str, ...] = ()
    """Whoever is in none of them is refused; empty: nobody is for that."""
    ca_file: str | None = None
    session_seconds: int = 3600
    tls: bool = False
    """Whether clients use https, whatever the servers see of it."""

    @classmethod
    def read(cls, path: Path) -> "Settings":
        """Return what a file has, in JSON."""
        known = json.loads(path.read_text())
        for key in ("admin_groups", "allowed_groups"):
            known[key] = tuple(known[key])
        return cls(**known)

    @property
    def verify(self) -> bool | str:
        """How `requests` verifies the provider's certificate."""
        return self.ca_file or True


@dataclass(frozen=True)
class Known:
    """What a provider said of itself."""

    metadata: Mapping[str, Any]
    keys: KeySet = field(repr=False)

    def listed(self, name: str) -> list[str]:
        """Return a list of texts; empty where there is none."""
        found = self.metadata.get(name)
        return [each for each in found if isinstance(each, str)] if isinstance(found, list) else []

    def endpoint(self, name: str) -> str:
        """Return an address. Raises `ProviderError` where there is none."""
        address = self.metadata.get(name)
        if not isinstance(address, str):
            raise ProviderError(f"its configuration has no {name}")
        return address


def ask(settings: Settings) -> Known:
    """Ask the provider. Raises `ProviderError`."""
    metadata = _json(settings.issuer.rstrip("/") + DISCOVERY, settings)
    if metadata.get("issuer") != settings.issuer:
        raise ProviderError("its configuration is another issuer's")
    scheme = settings.issuer.partition(":")[0]
    for name in ("jwks_uri", "authorization_endpoint", "token_endpoint"):
        if not str(metadata.get(name)).startswith(f"{scheme}://"):
            raise ProviderError(f"its configuration has no {name} by {scheme}")
    keys = _keys(_json(metadata["jwks_uri"], settings))
    if not keys:
        raise ProviderError("it has no key by which it could sign")
    return Known(metadata, keys)


def _json(address: str, settings: Settings) -> dict[str, Any]:
    with requests.Session() as session:
        # A proxy of the environment, or a .netrc, is nobody's choice here.
        session.trust_env = False
        try:
            answer = session.get(
                address, timeout=PATIENCE, verify=settings.verify, allow_redirects=False
            )
            content = answer.json() if answer.status_code == requests.codes.ok else None
        except BROKEN as error:
            raise ProviderError(type(error).__name__) from error
    if not isinstance(content, dict):
        raise ProviderError(f"it answers {answer.status_code} without an object in JSON")
    return content


def _keys(content: Mapping[str, Any]) -> KeySet:
    """Return the keys that tokens may be signed with; what else there is, is left out."""
    listed = content.get("keys")
    keys = []
    for each in listed if isinstance(listed, list) else ():
        if not isinstance(each, dict) or each.get("kty") not in KEY_TYPES:
            continue
        if each.get("use", "sig") != "sig":
            continue
        try:
            keys.append(JWKRegistry.import_key(each))
        except (JoseError, ValueError, TypeError, KeyError):
            continue
    return KeySet(keys)


class Provider:
    """A provider as one event loop knows it."""

    def __init__(
        self,
        settings: Settings,
        ask: Callable[[Settings], Known] = ask,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self._ask, self._now = ask, now
        self._known: Known | None = None
        self._fetched = 0.0
        self._asked = self._failed = -float("inf")
        self._running: asyncio.Task[None] | None = None
        self._problem = "it was not asked yet"

    async def known(self) -> Known:
        """Return what it said last. Raises `ProviderError` where it never said anything."""
        if self._known is None or self._is_stale():
            await self._again()
        elif self._now() - self._fetched > REFRESHED_SECONDS:
            self._begin()  # Nobody waits for it.
        if self._known is None:
            raise ProviderError(self._problem)
        return self._known

    def _is_stale(self) -> bool:
        """Whether the keys are of long ago, and not since the provider does not answer."""
        now = self._now()
        is_away = now - self._failed <= REFRESHED_SECONDS
        return now - self._fetched > 2 * REFRESHED_SECONDS and not is_away

    async def claims(
        self, token: str, audience: str | None = None, nonce: str | None = None
    ) -> Mapping[str, Any]:
        """Return what a token says of its bearer.

        `audience` is whom it has to be for, `nonce` what an ID token has to repeat. Raises
        `TokenError` for one that is not valid, `ProviderError` where that cannot be told.
        """
        known = await self.known()
        try:
            return self._verified(token, known.keys, audience, nonce)
        except InvalidKeyIdError:
            await self._again()
        try:
            return self._verified(token, (await self.known()).keys, audience, nonce)
        except InvalidKeyIdError:
            raise TokenError("it is signed by a key that the issuer does not have") from None

    def _verified(
        self, token: str, keys: KeySet, audience: str | None, nonce: str | None
    ) -> Mapping[str, Any]:
        """Raises `TokenError`, and `InvalidKeyIdError` for a key that is not among `keys`."""
        wanted: dict[str, ClaimsOption] = {
            "iss": {"essential": True, "value": self.settings.issuer},
            "aud": {"essential": True, "value": audience or self.settings.audience},
            "exp": {"essential": True},
        }
        if nonce is not None:
            wanted["nonce"] = {"essential": True, "value": nonce}
        claims = jwt.JWTClaimsRegistry(None, LEEWAY_SECONDS, **wanted)
        try:
            found = _decoded(token, keys)
            claims.validate(found.claims)
        except InvalidKeyIdError:
            raise
        except (JoseError, ValueError, TypeError, RecursionError) as error:
            raise TokenError(_reason(error)) from None
        typ = str(found.header.get("typ", "")).lower()
        if typ not in TOKEN_TYPES or "events" in found.claims:
            raise TokenError("it is no access or ID token")
        if "cnf" in found.claims:
            raise TokenError("it is for the holder of a key, which a bearer does not show")
        return found.claims

    async def _again(self) -> None:
        """Have it asked, unless it just was."""
        if task := self._begin():
            # A client that goes away takes the answer from nobody else.
            await asyncio.shield(task)

    def _begin(self) -> asyncio.Task[None] | None:
        if self._running is None and self._now() - self._asked >= PAUSE_SECONDS:
            self._asked = self._now()
            self._running = asyncio.create_task(self._fetch())
        return self._running

    async def _fetch(self) -> None:
        try:
            self._known = await to_thread.run_sync(self._ask, self.settings)
            self._fetched = self._now()
        except ProviderError as error:
            self._problem, self._failed = str(error), self._now()
            rest = "its former keys are used on" if self._known else "nobody gets in by it"
            _logger.warning("oidc: %s: %s; %s", self.settings.issuer, error, rest)
        finally:
            self._running = None


def _decoded(token: str, keys: KeySet) -> jwt.Token:
    """Return a token that one of `keys` has signed; one that names none, by whichever it is.

    Raises `InvalidKeyIdError` for another key, and what `joserfc` does for what is no token.
    """
    registry = JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
    try:
        return jwt.decode(token, keys, algorithms=ALGORITHMS, registry=registry)
    except InvalidKeyIdError:
        if "kid" in extract_compact(token.encode(), registry=registry).headers():
            raise
    for key in keys:
        with suppress(JoseError, ValueError, TypeError):
            return jwt.decode(token, key, algorithms=ALGORITHMS, registry=registry)
    raise InvalidKeyIdError("none of the keys")


def _reason(error: Exception) -> str:
    if isinstance(error, ExpiredTokenError):
        return "it has expired"
    if isinstance(error, MissingClaimError):
        return f"it has no claim {error.claim}"
    if isinstance(error, InvalidClaimError):
        return {
            "iss": "it is another issuer's",
            "aud": "it is for another audience",
            "nbf": "it is not yet valid",
            "iat": "it was issued in the future",
            "nonce": "it belongs to another sign-in",
        }.get(error.claim, "a claim of it is not what it has to be")
    if isinstance(error, BadSignatureError):
        return "its signature is wrong"
    if isinstance(error, UnsupportedAlgorithmError):
        return "it is not signed by an algorithm with a private key"
    return "it is no signed JSON Web Token"
