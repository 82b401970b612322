"""An identity provider that is not what a stack file says is one line before anything is made."""

import json
import ssl
from collections.abc import Iterator, Mapping
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from infra.checks import external
from infra.checks.oidc import UnreachedError, check
from infra.outputs import Platform
from infra.specification.error import SpecError
from infra.specification.oidc import OidcSpec
from tests import certificates
from tests.certificates import Files
from tests.serving import LOOPBACK, Handler, running
from tests.unit.infra.checks.test_external import SECRET
from tests.unit.infra.specification.test_oidc import spec

KEY = {"kty": "RSA", "kid": "one", "n": "AQAB", "e": "AQAB"}


class Provider:
    """What one answers, by path; the tests change it."""

    def __init__(self, address: str, ca: Path) -> None:
        self.address, self.ca = address, ca
        self.content: dict[str, Any] = {}
        self.forms: list[str] = []
        self.token_answer: dict[str, Any] = {"error": "invalid_grant"}
        self.begin()

    def begin(self) -> None:
        self.content = {
            "/.well-known/openid-configuration": {
                "issuer": self.address,
                "authorization_endpoint": f"{self.address}/auth",
                "token_endpoint": f"{self.address}/token",
                "jwks_uri": f"{self.address}/keys",
            },
            "/keys": {"keys": [KEY]},
        }
        self.forms.clear()
        self.token_answer = {"error": "invalid_grant"}

    @property
    def said(self) -> dict[str, Any]:
        known: dict[str, Any] = self.content["/.well-known/openid-configuration"]
        return known

    def described(self, **changes: Any) -> OidcSpec:
        settings: Mapping[str, Any] = {"issuer": self.address, "ca": str(self.ca)} | changes
        found = spec(**settings).oidc
        assert found
        return found


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return certificates.write(tmp_path_factory.mktemp("provider") / "tls", LOOPBACK)


@pytest.fixture(scope="module")
def served(files: Files) -> Iterator[Provider]:
    there: list[Provider] = []

    class Asked(Handler):
        def do_GET(self) -> None:
            content = there[0].content.get(self.path)
            self.answer(404 if content is None else 200, json.dumps(content).encode())

        def do_POST(self) -> None:
            there[0].forms.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self.answer(400, json.dumps(there[0].token_answer).encode())

    server = ThreadingHTTPServer((LOOPBACK, 0), Asked)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    # The handshake is its thread's, as a client that goes away would end the server.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    with running(server) as address:
        there.append(Provider(address.replace("http://", "https://"), files.ca))
        yield there[0]


@pytest.fixture
def provider(served: Provider, monkeypatch: pytest.MonkeyPatch) -> Provider:
    monkeypatch.setenv("NO_PROXY", LOOPBACK)
    served.begin()
    return served


def refusal(described: OidcSpec) -> str:
    with pytest.raises(SpecError) as caught:
        check(described)
    line = str(caught.value)
    assert "\n" not in line
    assert SECRET not in line
    assert "object at 0x" not in line
    return line


def test_one_that_is_as_described_is_taken(provider: Provider) -> None:
    check(provider.described())
    check(provider.described(issuer=provider.address))


def test_one_that_calls_itself_otherwise_is_refused(provider: Provider) -> None:
    provider.said["issuer"] = f"{provider.address}/"
    line = refusal(provider.described())
    assert line.startswith(f"oidc.issuer: {provider.address}: calls itself '{provider.address}/'")


@pytest.mark.parametrize("name", ["jwks_uri", "token_endpoint", "authorization_endpoint"])
@pytest.mark.parametrize("value", [None, "http://elsewhere.example/"])
def test_one_without_an_address_by_https_is_refused(
    provider: Provider, name: str, value: str | None
) -> None:
    provider.said[name] = value
    assert refusal(provider.described()).endswith(f"names no {name} by https")


@pytest.mark.parametrize("keys", [[], None, [{"kty": "oct", "k": "AQAB"}], [1]])
def test_one_without_a_key_is_refused(provider: Provider, keys: object) -> None:
    provider.content["/keys"] = {"keys": keys}
    assert "has no key at" in refusal(provider.described())


@pytest.mark.parametrize("content", [None, [], "x"])
def test_what_is_no_provider_is_refused(provider: Provider, content: object) -> None:
    provider.content["/.well-known/openid-configuration"] = content
    assert "is no configuration of a provider (HTTP " in refusal(provider.described())


def test_one_that_is_not_trusted_is_refused(provider: Provider) -> None:
    line = refusal(provider.described(ca=None))
    assert "its certificate is not trusted (" in line
    assert line.endswith("pulumi config set --path oidc.ca ca.pem")


def test_one_that_does_not_know_the_client_is_refused(provider: Provider) -> None:
    for methods in (None, ["client_secret_post"], ["client_secret_basic", "client_secret_post"]):
        provider.said["token_endpoint_auth_methods_supported"] = methods or []
        provider.token_answer = {"error": "invalid_client"}
        line = refusal(provider.described())
        assert line.startswith("oidc.client_secret: ")
        assert "the client 'mlflow' (invalid_client)" in line
        provider.token_answer = {"error": "invalid_grant"}
        check(provider.described())
    assert [SECRET in form for form in provider.forms] == [False, False, True, True, False, False]


def test_it_is_asked_as_the_servers_ask_it_by_no_proxy(
    provider: Provider, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("NO_PROXY")
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, f"http://{LOOPBACK}:9")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "not-there"))
    check(provider.described())
    assert len(provider.forms) == 1


def test_one_that_is_away_is_told_and_for_a_cluster_only_that(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = provider.described(issuer=f"https://{LOOPBACK}:9")
    with pytest.raises(UnreachedError) as caught:
        check(away)
    line = str(caught.value)
    assert line.startswith(f"oidc.issuer: https://{LOOPBACK}:9: no identity provider answers (")
    assert "(Failed to establish a new connection: Connection refused)" in line
    monkeypatch.setattr(external, "_check_host", lambda *_: None)
    described = spec(issuer=f"https://{LOOPBACK}:9")
    with pytest.raises(SpecError, match="no identity provider answers"):
        external.check_external(described)
    cluster = described.model_copy(update={"platform": Platform.KUBERNETES})
    [told] = external.check_external(cluster)
    assert "nobody gets in where the cluster does not reach it either" in told


def test_one_at_loopback_leads_a_server_to_itself() -> None:
    with pytest.raises(SpecError, match=r"^oidc\.issuer: localhost leads a server's container"):
        external.check_external(spec(issuer="https://localhost:5556/dex"))


def test_a_file_without_certificates_is_refused(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    described = spec(ca=str(tmp_path / "ca.pem"))
    with pytest.raises(SpecError, match=r"oidc\.ca: .* holds no certificates in PEM format"):
        external.check_external(described)
