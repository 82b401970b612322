"""Reading a stack; `pulumi` is a small script here."""

import json
from pathlib import Path

import pytest

from tests.unit.workloads.builders import target as example
from workloads import target
from workloads.errors import CannotRunError


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
