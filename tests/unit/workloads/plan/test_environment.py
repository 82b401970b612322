"""A server that cannot be asked, or not be trusted, is one line with what to do."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests import certificates
from tests.certificates import Files
from tests.serving import LOOPBACK, Handler, running, serving
from workloads import CannotRunError
from workloads.plan.environment import server_version
from workloads.target import access
from workloads.target.http_options import VerifyingSession


class Version(Handler):
    def do_GET(self) -> None:
        self.answer(body=b"3.17.2\n")


class TlsOnly(Handler):
    def do_GET(self) -> None:
        self.answer(400, b"This port speaks TLS only: use https:// in the address.")


@contextmanager
def with_tls(files: Files) -> Iterator[str]:
    server = ThreadingHTTPServer((LOOPBACK, 0), Version)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.cert, files.key)
    # The handshake is its thread's, as a client that goes away would end the server.
    server.socket = context.wrap_socket(
        server.socket, server_side=True, do_handshake_on_connect=False
    )
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    with running(server) as address:
        yield address.replace("http://", "https://")


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (access.CA_FILE, access.INSECURE, access.USERNAME, access.TOKEN):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")


def refusal(address: str) -> str:
    with pytest.raises(CannotRunError) as caught:
        server_version(address)
    line = str(caught.value)
    assert line.startswith(f"no tracking server answers at {address} (")
    assert "\n" not in line
    return line


def test_a_server_of_a_known_authority(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = certificates.write(tmp_path / "own", LOOPBACK)
    other = certificates.write(tmp_path / "other", LOOPBACK)
    with with_tls(files) as address:
        told = refusal(address)
        monkeypatch.setenv(access.CA_FILE, str(other.ca))
        assert refusal(address).rpartition("): ")[2] == told.rpartition("): ")[2]
        by_name = f"https://localhost:{urlsplit(address).port}"
        monkeypatch.setenv(access.CA_FILE, str(files.ca))
        # That of a proxy that inspects TLS is not for this server.
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other.ca))
        assert server_version(address) == "3.17.2"
        with VerifyingSession() as session:
            assert session.get(address, timeout=10).status_code == 200
        wrong_name = refusal(by_name)
    assert "certificate verify failed: " in told
    assert told.endswith("give its authority's certificate by --ca-file or " + access.CA_FILE)
    assert "mismatch" in wrong_name
    assert wrong_name.endswith(": use a name in the address that its certificate is for")


def test_an_expired_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    days = certificates.ALREADY_EXPIRED
    files = certificates.write(tmp_path / "old", LOOPBACK, days=days)
    monkeypatch.setenv(access.CA_FILE, str(files.ca))
    with with_tls(files) as address:
        assert "has expired): its certificate has to be renewed" in refusal(address)


def test_the_other_scheme_than_the_servers() -> None:
    with serving(Version) as address:
        told = refusal(address.replace("http://", "https://"))
    assert told.endswith("): does it speak TLS? Try http://")
    with serving(TlsOnly) as address:
        assert refusal(address).endswith("(HTTP 400): it may speak TLS only; try https://")


def test_a_file_that_is_no_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = tmp_path / "wrong.crt"
    wrong.write_text("-----BEGIN CERTIFICATE-----\nnone\n-----END CERTIFICATE-----\n")
    monkeypatch.setenv(access.CA_FILE, str(wrong))
    with with_tls(certificates.write(tmp_path / "own", LOOPBACK)) as address:
        assert str(wrong) in refusal(address)
