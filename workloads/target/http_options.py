"""How `requests` asks a tracking server: as MLflow's client does, by the same variables."""

import os
from typing import Any, TypedDict

import requests

from workloads.target.access import CA_FILE, INSECURE, PASSWORD, TOKEN, USERNAME


class Options(TypedDict):
    """Arguments of a request of `requests`."""

    auth: requests.auth.AuthBase | None
    verify: bool | str


def http_options() -> Options:
    """Return how `requests` has to ask the tracking server, as MLflow's client would."""
    return {"auth": credentials(), "verify": verify()}


def credentials() -> requests.auth.AuthBase | None:
    """Return credentials from the variables that mlflow's client reads."""
    if user := os.environ.get(USERNAME):
        # As bytes: of text, `requests` makes Latin-1, and MLflow's client and server UTF-8.
        return requests.auth.HTTPBasicAuth(user.encode(), os.environ.get(PASSWORD, "").encode())
    if token := os.environ.get(TOKEN):
        return _Bearer(token)
    return None


def verify() -> bool | str:
    """Return how to verify TLS, from the variables that mlflow's client reads."""
    if os.environ.get(INSECURE) == "true":
        return False
    return os.environ.get(CA_FILE) or True


class VerifyingSession(requests.Session):
    """A session for a library that asks by itself, and verifies as all others do.

    A session's own `verify` counts for nothing where REQUESTS_CA_BUNDLE is set, as it is behind
    proxies that inspect TLS; that of a request does.
    """

    def request(self, method: str, url: str, *args: Any, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """Send it."""
        return super().request(method, url, *args, **(kwargs | {"verify": verify()}))


class _Bearer(requests.auth.AuthBase):
    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token to a request."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request
