"""Whether an identity provider is what a stack file says, before anything is created."""

import re
from typing import Any
from urllib.parse import quote

import requests

from infra.specification.error import SpecError
from infra.specification.oidc import OidcSpec

DISCOVERY = "/.well-known/openid-configuration"

ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")

KEY_TYPES = ("RSA", "EC", "OKP")
"""Of keys with a private half, which alone may sign tokens."""

PATIENCE_SECONDS = 10


class UnreachedError(Exception):
    """This machine cannot connect to the provider; the message is one line."""


def check(provider: OidcSpec) -> None:
    """Ask the provider what it is, for its keys, and whether it knows the client.

    Raises `SpecError` with one line when servers could not use it as described, and
    `UnreachedError` where it does not answer at all.
    """
    issuer = provider.issuer
    address = issuer.rstrip("/") + DISCOVERY
    said = _json(provider, address)
    if said.get("issuer") != issuer:
        raise SpecError(
            f"oidc.issuer: {issuer}: calls itself {said.get('issuer')!r}, and so do its tokens; "
            "pulumi config set --path oidc.issuer, with that"
        )
    for name in ENDPOINTS:
        if not str(said.get(name)).startswith("https://"):
            raise SpecError(f"oidc.issuer: {issuer}: {address} names no {name} by https")
    keys = _json(provider, said["jwks_uri"]).get("keys")
    if not any(isinstance(key, dict) and key.get("kty") in KEY_TYPES for key in keys or ()):
        raise SpecError(
            f"oidc.issuer: {issuer}: has no key at {said['jwks_uri']} that could sign tokens; have "
            "it sign by RS256 or ES256"
        )
    _check_client(provider, said)


def _check_client(provider: OidcSpec, said: dict[str, Any]) -> None:
    """Ask for a token by a code that nobody has: a provider looks at the client first."""
    secret = provider.client_secret.get_secret_value()
    methods = said.get("token_endpoint_auth_methods_supported", ())
    question = {"grant_type": "authorization_code", "code": "of-nobody", "redirect_uri": "https://"}
    user = None
    if methods and "client_secret_basic" not in methods:
        question |= {"client_id": provider.client_id, "client_secret": secret}
    else:
        user = (quote(provider.client_id, safe=""), quote(secret, safe=""))
    try:
        answer = _asked("POST", provider, said["token_endpoint"], data=question, auth=user)
        error = answer.json().get("error")
    except (requests.RequestException, AttributeError):
        return  # What it says to an odd question decides nothing.
    if error == "invalid_client":
        raise SpecError(
            f"oidc.client_secret: {provider.issuer} does not take it for the client "
            f"{provider.client_id!r} ({error}); correct oidc.client_id, or "
            "pulumi config set --secret --path oidc.client_secret"
        )


def _asked(method: str, provider: OidcSpec, address: str, **question: Any) -> requests.Response:
    """Ask as the servers do: by no proxy of the environment, and with no .netrc."""
    with requests.Session() as session:
        session.trust_env = False
        return session.request(
            method,
            address,
            timeout=PATIENCE_SECONDS,
            verify=str(provider.ca) if provider.ca else True,
            allow_redirects=False,
            **question,
        )


def _json(provider: OidcSpec, address: str) -> dict[str, Any]:
    where = f"oidc.issuer: {provider.issuer}"
    try:
        answer = _asked("GET", provider, address)
        content = answer.json() if answer.status_code == requests.codes.ok else None
    except requests.exceptions.SSLError as error:
        raise SpecError(
            f"{where}: its certificate is not trusted ({_last(error)}); set its authority's: "
            "pulumi config set --path oidc.ca ca.pem"
        ) from None
    except requests.exceptions.JSONDecodeError:
        content = None
    except requests.RequestException as error:
        raise UnreachedError(
            f"{where}: no identity provider answers ({_last(error)}); correct it, or start it"
        ) from None
    if not isinstance(content, dict):
        raise SpecError(
            f"{where}: {address} is no configuration of a provider (HTTP {answer.status_code}); "
            "give the address that its tokens have in `iss`"
        )
    return content


def _last(error: Exception) -> str:
    """Return the innermost reason of an error of `requests`, without names of objects."""
    cause: Any = error
    while inner := getattr(cause, "reason", None) or (cause.args[0] if cause.args else None):
        if not isinstance(inner, Exception):
            break
        cause = inner
    text = re.sub(r"^\w+\(.*?\): |\[Errno -?\d+\] ", "", str(cause))
    return " ".join(text.split())[:200] or type(error).__name__
