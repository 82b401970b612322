"""Reading a stack; `pulumi` is a small script here."""

import json
from pathlib import Path

import pytest

from tests.unit.workloads.builders import target as example
from workloads import CannotRunError
from workloads.target import target
from workloads.target.access import Access


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Answers with the files `out` and `err` beside it; exit status 255 if there is an `err`."""
    program = tmp_path / "pulumi"
    program.write_text(
        '#!/bin/sh\ncd "$(dirname "$0")"\necho "$@" > arguments\n'
        "cat out 2>/dev/null\nif [ -e err ]; then cat err >&2; exit 255; fi\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    return tmp_path


def test_a_deployed_stack(pulumi: Path) -> None:
    outputs = {
        "tracking_uri": "x",
        "target": example().model_dump(mode="json"),
        "audit_secrets": {"database_password": "s3cret", "s3_credentials": None},
    }
    (pulumi / "out").write_text(json.dumps(outputs))
    found = target.load("local")
    assert found.target == example()
    assert (found.name, found.tracking_uri) == ("local", example().tracking_uri)
    assert found.secrets
    assert found.secrets.database_password == "s3cret"
    assert "s3cret" not in repr(found)
    assert "--show-secrets -s local" in (pulumi / "arguments").read_text()


def test_how_a_stack_lets_clients_in(pulumi: Path, tmp_path: Path) -> None:
    ca_file = tmp_path / "ca.crt"
    stack = example().model_copy(update={"ca_file": str(ca_file), "username": "admin"})
    outputs = {"target": stack.model_dump(mode="json"), "admin_password": "s3cret"}
    (pulumi / "out").write_text(json.dumps(outputs))
    with pytest.raises(
        CannotRunError, match=r"CA file .*No such file.*; pulumi up -s local writes"
    ):
        target.load("local")
    ca_file.write_text("-----BEGIN CERTIFICATE-----\n")
    found = target.load("local")
    assert found.access == Access(ca_file, "admin", "s3cret")
    assert "s3cret" not in repr(found)
    del outputs["admin_password"]
    (pulumi / "out").write_text(json.dumps(outputs))
    with pytest.raises(CannotRunError, match="output admin_password is missing; deploy it again"):
        target.load("local")


@pytest.mark.parametrize(
    ("out", "err", "said"),
    [
        ("{}", None, "stack 'local' is not deployed: run `pulumi up -s local` first"),
        ("", "error: no stack named 'local' found\n", "stack 'local' is not deployed"),
        ("", "warning: x\nerror: incorrect passphrase\n", "error: incorrect passphrase"),
        ("", "", "pulumi stack output -s local: no message"),
        ('{"target": {"stack": "local"}}', None, "output target.platform: Field required"),
        ("no json", None, "is not JSON"),
    ],
)
def test_what_cannot_be_read_is_said(pulumi: Path, out: str, err: str | None, said: str) -> None:
    (pulumi / "out").write_text(out)
    if err is not None:
        (pulumi / "err").write_text(err)
    with pytest.raises(CannotRunError) as caught:
        target.load("local")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_stack_is_said_with_the_known_ones() -> None:
    with pytest.raises(CannotRunError, match=r"unknown stack 'loca': .*local"):
        target.load("loca")


def test_no_pulumi_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CannotRunError, match=r"pulumi is not on PATH: run `\. scripts/activate`"):
        target.load("local")


def test_a_stack_files_objectives(
    pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, "PROJECT", tmp_path)
    (tmp_path / "stacks").mkdir()
    path = tmp_path / "stacks" / "Pulumi.local.yaml"
    (pulumi / "out").write_text(json.dumps({"target": example().model_dump(mode="json")}))
    path.write_text("config:\n  workloads:objectives:\n    p95_ms: 250\n    min_rate: '40'\n")
    assert target.load("local").objectives == {"p95_ms": 250, "min_rate": 40}
    path.write_text("config: {}\n")
    assert target.load("local").objectives == {}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("[1]", "give an object with any of error_rate, p95_ms, min_rate"),
        ("{p99_ms: 5}", "no objective 'p99_ms': give any of error_rate, p95_ms, min_rate"),
        ("{p95_ms: fast}", "p95_ms: Input should be a valid number"),
        ("{p95_ms: -1}", "p95_ms: Input should be greater than 0"),
        ("{training: 5}", "objectives.training: give an object with any of error_rate, p95_ms"),
        ("{training: {p95: 5}}", "objectives.training: no objective 'p95': give any of error_rate"),
        ("{operations: {GET artifact: {p95: 5}}}", "give any of p50_ms, p95_ms, p99_ms, min_mib"),
        ("{trainning: {p95_ms: 5}}", "no objective 'trainning'"),
    ],
)
def test_objectives_that_are_none_are_said(
    pulumi: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, said: str
) -> None:
    monkeypatch.setattr(target, "PROJECT", tmp_path)
    (tmp_path / "stacks").mkdir()
    (tmp_path / "stacks" / "Pulumi.local.yaml").write_text(
        f"config:\n  workloads:objectives: {value}\n"
    )
    (pulumi / "out").write_text(json.dumps({"target": example().model_dump(mode="json")}))
    with pytest.raises(CannotRunError) as caught:
        target.load("local")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
