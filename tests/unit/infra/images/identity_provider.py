"""An identity provider in a thread: its configuration, its keys, and tokens for codes."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, RSAKey

from infra.images.mlflow.stores.mlflow_bench_stores.oidc_provider import Settings
from tests.serving import LOOPBACK, Handler, serving

CLIENT, CLIENT_SECRET = "mlflow", "of-the-client"

RSA = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"}, private=True)
OTHER_RSA = RSAKey.generate_key(2048, {"kid": "second"}, private=True)
ELLIPTIC = ECKey.generate_key("P-256", {"kid": "curve"}, private=True)


class IdentityProvider:
    """What it says, and what it was asked."""

    def __init__(self, issuer: str) -> None:
        self.issuer = issuer
        self.begin()

    def begin(self) -> None:
        """Be as it is at first."""
        self.keys: list[Any] = [RSA, ELLIPTIC]
        self.asked: list[str] = []
        self.is_down = False
        self.said: dict[str, Any] = {}
        """What its configuration has otherwise."""
        self.tokens: Any = ...
        """What it gives for a code instead of tokens."""
        self.codes: dict[str, Mapping[str, Any]] = {}
        """The claims of the ID token that each code is for."""
        self.exchanges = threading.Event()
        """Whether whoever comes with a code gets an answer, or waits for one."""
        self.exchanges.set()
        self.exchanged: list[tuple[dict[str, str], str]] = []
        """Forms of those who came with a code, and their `Authorization`."""

    @property
    def settings(self) -> Settings:
        return Settings(
            issuer=self.issuer,
            client_id=CLIENT,
            audience=CLIENT,
            username_claim="email",
            groups_claim="groups",
        )

    def with_groups(self, *, admin: str = "", allowed: str = "") -> Settings:
        """Settings of a stack with these groups."""
        return replace(
            self.settings,
            admin_groups=tuple(admin.split()),
            allowed_groups=tuple(allowed.split()),
        )

    def claims(self, **changes: Any) -> dict[str, Any]:
        """Claims of a valid token; None leaves one out."""
        now = int(time.time())
        usual = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "email": "ann@example.com"}
        times = {"iat": now, "exp": now + 300, "email_verified": True}
        return {key: value for key, value in (usual | times | changes).items() if value is not None}

    def token(self, key: Any = RSA, alg: str = "RS256", typ: str = "JWT", **changes: Any) -> str:
        header = {"alg": alg, "kid": key.kid, "typ": typ}
        return self.signed(header, key, **changes)

    def signed(self, header: dict[str, Any], key: Any = RSA, **changes: Any) -> str:
        """Return a token with this header."""
        return jwt.encode(header, self.claims(**changes), key, algorithms=[header["alg"]])

    def answer(self, path: str) -> tuple[int, Any]:
        """What it tells whoever asks."""
        self.asked.append(path)
        if self.is_down:
            return 502, {}
        if path == "/.well-known/openid-configuration":
            ends = {"jwks_uri": "keys", "authorization_endpoint": "auth", "token_endpoint": "token"}
            return 200, {
                "issuer": self.issuer,
                "scopes_supported": ["openid", "email", "groups"],
                "end_session_endpoint": f"{self.issuer}/end",
                **{name: f"{self.issuer}/{place}" for name, place in ends.items()},
                **self.said,
            }
        return 200, {"keys": [key.as_dict(private=isinstance(key, OctKey)) for key in self.keys]}

    def exchange(self, form: dict[str, str], authorization: str) -> tuple[int, Any]:
        """What it gives for a code, once."""
        self.exchanged.append((form, authorization))
        self.exchanges.wait(60)
        if self.is_down:
            return 502, {}
        claims = self.codes.pop(form.get("code", ""), None)
        if claims is None:
            return 400, {"error": "invalid_grant", "error_description": "of <nobody>"}
        if self.tokens is not ...:
            return 200, self.tokens
        return 200, {
            "access_token": "opaque",
            "token_type": "Bearer",
            "id_token": self.token(**claims),
        }


@contextmanager
def identity_provider(host: str = LOOPBACK) -> Iterator[IdentityProvider]:
    """Have one on a free port of this address of the machine."""
    there: list[IdentityProvider] = []

    class Asked(Handler):
        def do_GET(self) -> None:
            status, content = there[0].answer(self.path)
            self.answer(status, json.dumps(content).encode())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, content = there[0].exchange(form, self.headers.get("Authorization", ""))
            self.answer(status, json.dumps(content).encode())

    with serving(Asked, host) as address:
        there.append(IdentityProvider(address))
        yield there[0]
