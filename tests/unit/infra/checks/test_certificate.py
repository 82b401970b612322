"""A certificate that clients would not accept is one line, before anything is created."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from infra.checks.certificate import check_certificate
from infra.specification.error import SpecError
from infra.specification.load import load_spec
from tests import certificates
from tests.certificates import Files


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return certificates.write(tmp_path / "own", "mlflow.example.com", "*.test.example.com")


def check(tls: object, *more: str, hosts: str = "mlflow.example.com") -> list[str]:
    config = {"tls": json.dumps(tls), "allowed_hosts": hosts}
    values = {f"mlflow-bench:{key}": value for key, value in config.items()}
    return check_certificate(load_spec(values, Path.cwd()), *more)


def named(files: Files, **others: Path) -> dict[str, str]:
    return {"cert": str(files.cert), "key": str(files.key)} | {k: str(v) for k, v in others.items()}


def test_one_that_fits_is_taken(files: Files) -> None:
    assert check(named(files)) == []
    assert check(named(files, ca=files.ca)) == []
    assert check(named(files), hosts="a.test.example.com") == []
    assert check(True) == []
    assert check(False) == []


def test_a_name_that_it_lacks_beside_the_first_is_a_warning(files: Files) -> None:
    [line] = check(named(files), hosts="mlflow.example.com,mlflow")
    assert line.endswith(": is not for mlflow of allowed_hosts: clients refuse it there")


@pytest.mark.parametrize(("days", "warned"), [(29.0, True), (31.0, False)])
def test_one_that_ends_within_30_days_is_a_warning(
    tmp_path: Path, days: float, warned: bool
) -> None:
    lines = check(named(certificates.write(tmp_path / "own", "mlflow.example.com", days=days)))
    assert ["renew it, then pulumi up" in line for line in lines] == [True] * warned


def test_what_clients_would_refuse_is_one_line(files: Files, tmp_path: Path) -> None:
    other = certificates.write(tmp_path / "other", "mlflow.example.com")
    old = certificates.write(
        tmp_path / "old", "mlflow.example.com", days=certificates.ALREADY_EXPIRED
    )
    nothing = Path("/dev/null")
    encrypted = tmp_path / "encrypted.key"
    key = serialization.load_pem_private_key(files.key.read_bytes(), password=None)
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"passphrase"),
        )
    )
    for tls, said in (
        (named(files, key=other.key), "is the key of another certificate than"),
        (named(old), "expired on 2"),
        (named(files, cert=nothing), "tls.cert: /dev/null: has no certificate in PEM form"),
        (named(files, cert=Path("/none")), "tls.cert: /none: No such file"),
        (named(files, key=files.cert), "has no private key in PEM form"),
        (named(files, key=Path("/none")), "tls.key: /none: No such file"),
        (named(files, ca=nothing), "tls.ca: /dev/null: has no certificate in PEM form"),
        (named(files, key=encrypted), "needs a passphrase, which nginx has nobody to ask for"),
    ):
        with pytest.raises(SpecError) as caught:
            check(tls)
        assert said in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(
        SpecError, match=r"is for mlflow.example.com, .*, and not for localhost, wh"
    ):
        check(named(files), hosts="localhost")
    with pytest.raises(
        SpecError, match=r"not for mlflow\.bench\.svc, which a load from .*; set ku"
    ):
        check(named(files), "mlflow.bench.svc")
