"""What a browser keeps of a sign-in: signed, so that it cannot be changed, and for a time only.

The key is the same in all replicas, so that each takes what another gave. Nothing in them is
secret from the browser's own person; scripts of pages do not see them.
"""

import hashlib
from collections.abc import Mapping
from time import time
from typing import TYPE_CHECKING, Any

from itsdangerous import BadData, URLSafeTimedSerializer

from .oidc_provider import LEEWAY_SECONDS

if TYPE_CHECKING:
    from starlette.types import Scope

SESSION, SIGN_IN = "mlflow-session", "mlflow-sign-in"

SIGN_IN_SECONDS = 600
"""How long a person may take at the provider."""

MOST_BYTES = 4096
"""Browsers keep no larger one."""


class Cookies:
    """Makes and reads cookies of one name; `purpose` keeps those of other settings apart."""

    def __init__(self, name: str, seconds: int, key: str, purpose: str) -> None:
        self._name, self._seconds = name, seconds
        self._signer = URLSafeTimedSerializer(
            key,
            salt=f"{name}\n{purpose}",
            signer_kwargs={"key_derivation": "hmac", "digest_method": hashlib.sha256},
        )

    def read(self, scope: "Scope", *, tls: bool) -> Any:
        """Return what a request's cookie has; None without a valid one."""
        name = self._full_name(scope, tls=tls)
        for pair in value_of(scope, b"cookie").split(";"):
            key, _, value = pair.strip().partition("=")
            if key == name:
                try:
                    content, made = self._signer.loads(value, return_timestamp=True)
                except BadData:
                    return None
                # Another replica's clock may be ahead of this one's.
                age = time() - made.timestamp()
                return content if -LEEWAY_SECONDS <= age <= self._seconds else None
        return None

    def header(
        self, scope: "Scope", content: Mapping[str, Any] | None, *, tls: bool
    ) -> tuple[bytes, bytes]:
        """Return the header that has the browser keep it; None: that removes it.

        Raises `ValueError` where it is too large for a browser.
        """
        value = self._signer.dumps(content) if content is not None else ""
        seconds = self._seconds if content is not None else 0
        # Lax: a link that leads here is followed as its person; a form of another site is not.
        parts = [
            f"{self._full_name(scope, tls=tls)}={value}",
            f"Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}",
            *(["Secure"] if tls else []),
        ]
        cookie = "; ".join(parts)
        if len(cookie) > MOST_BYTES:
            raise ValueError(f"a cookie of {len(cookie)} bytes")
        return b"set-cookie", cookie.encode()

    def _full_name(self, scope: "Scope", *, tls: bool) -> str:
        # Browsers send a cookie to every port of a host, on which there may be other stacks. With
        # the prefix, none that another host of the domain has set is taken for this one's.
        port = value_of(scope, b"host").rpartition(":")[2]
        own = f"-{port}" if port.isascii() and port.isdigit() else ""
        return f"{'__Host-' if tls else ''}{self._name}{own}"


def value_of(scope: "Scope", header: bytes) -> str:
    """Return the value of a header; empty without one. Of several, the first."""
    found = (value for name, value in scope["headers"] if name == header)
    return next(found, b"").decode("latin-1")
