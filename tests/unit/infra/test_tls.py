"""The stack's own authority: what it signs, when again, and the file for its clients."""

import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from infra import certificates
from infra.tls import CaWriter, Issuer

PROPS = {"stack": "local", "hosts": ["localhost", "127.0.0.1", "::1", "mlflow.example.com"]}
SECRETS = ("key", "authority_key")


@pytest.fixture
def made() -> dict[str, Any]:
    outs = Issuer().create(dict(PROPS)).outs
    assert outs
    return outs


def test_a_new_certificate_is_for_every_host_and_signed_by_the_authority(
    made: dict[str, Any],
) -> None:
    served = x509.load_pem_x509_certificate(made["certificate"].encode())
    authority = x509.load_pem_x509_certificate(made["ca_certificate"].encode())
    served.verify_directly_issued_by(authority)
    assert certificates.hosts_of(served) == ["localhost", "mlflow.example.com", "127.0.0.1", "::1"]
    for host in ("LOCALHOST", "127.0.0.1", "[::1]", "mlflow.example.com"):
        assert certificates.is_for(served, host)
    assert not certificates.is_for(served, "example.com")
    assert all(made[name].startswith("-----BEGIN PRIVATE KEY-----") for name in SECRETS)


def test_only_other_hosts_or_its_end_ask_for_another(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    issuer = Issuer()
    assert not issuer.diff("local", made, PROPS).changes
    more = PROPS | {"hosts": ["localhost", "other.example.com"]}
    assert issuer.diff("local", made, more).changes
    monkeypatch.setattr(certificates, "RENEWED_DAYS", certificates.SERVER_DAYS + 1)
    assert issuer.diff("local", made, PROPS).changes


def test_clients_that_know_the_authority_take_a_renewed_certificate(made: dict[str, Any]) -> None:
    more = PROPS | {"hosts": ["other.example.com"]}
    renewed = Issuer().update("local", made, more).outs
    assert renewed
    assert renewed["ca_certificate"] == made["ca_certificate"]
    assert renewed["key"] != made["key"]
    served = x509.load_pem_x509_certificate(renewed["certificate"].encode())
    assert certificates.hosts_of(served) == ["other.example.com"]


def test_an_authority_that_ends_soon_is_replaced(
    made: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(certificates, "RENEWED_DAYS", certificates.AUTHORITY_DAYS + 1)
    renewed = Issuer().update("local", made, PROPS).outs
    assert renewed
    assert renewed["ca_certificate"] != made["ca_certificate"]


def test_the_file_is_written_where_it_is_missing_and_removed_in_the_end(
    made: dict[str, Any], tmp_path: Path
) -> None:
    writer = CaWriter()
    path = tmp_path / "tls" / "local.crt"
    props = {"path": str(path), "content": made["ca_certificate"]}
    assert writer.create(props).outs == props
    ssl.create_default_context(cafile=path)
    assert not writer.diff("local", props | {"__provider": "x"}, props).changes
    not_known_yet = {"path": str(path)}
    assert writer.diff("local", props, not_known_yet).changes
    path.unlink()
    assert writer.diff("local", props, props).changes
    writer.update("local", props, props)
    elsewhere = props | {"path": str(tmp_path / "other" / "local.crt")}
    assert writer.diff("local", props, elsewhere).changes
    writer.update("local", props, elsewhere)
    assert not path.parent.exists()
    writer.delete("local", elsewhere)
    assert not list(tmp_path.iterdir())
