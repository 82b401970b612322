"""Environments of client releases: made once, and one line where a release cannot be had."""

from pathlib import Path

import pytest

from scripts.shared import client_releases
from scripts.shared.client_releases import CannotInstallError, python_of
from scripts.shared.project import pin

MADE = """#!/bin/bash
echo "$@" >> {log}
if [[ $1 == venv ]]; then mkdir -p "${{@: -1}}/bin"; touch "${{@: -1}}/bin/python"; fi
"""

REFUSED = """#!/bin/bash
[[ $1 == venv ]] && {{ mkdir -p "${{@: -1}}"; exit; }}
echo "  x No solution found when resolving dependencies:" >&2
echo "  ╰─▶ Because there is no version of b==3 and a==3 depends on b==3, a cannot be used." >&2
exit 1
"""


def uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> Path:
    """Put a script in uv's place; returns the log of its arguments."""
    script, log = tmp_path / "uv", tmp_path / "log"
    script.write_text(text.format(log=log))
    script.chmod(0o755)
    monkeypatch.setattr(client_releases, "UV", script)
    monkeypatch.setattr(client_releases, "uv_settings", dict)
    return log


def test_an_environment_is_made_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = uv(tmp_path, monkeypatch, MADE)
    python = python_of("3.16.1", tmp_path / "cache")
    assert python.exists()
    assert log.read_text().splitlines()[1].endswith(" mlflow==3.16.1")
    assert python_of("3.16.1", tmp_path / "cache") == python
    assert len(log.read_text().splitlines()) == 2
    assert [entry.name for entry in (tmp_path / "cache/clients").iterdir()] == [
        python.parents[1].name
    ]


def test_other_content_is_another_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv(tmp_path, monkeypatch, MADE)
    first = python_of("3.16.1", tmp_path)
    monkeypatch.setattr(client_releases, "requirements", lambda release: [release, "more"])
    assert python_of("3.16.1", tmp_path) != first


def test_a_load_needs_the_pinned_generator_and_whatever_else_fits() -> None:
    needed = client_releases.workload_requirements()
    assert f"locust=={pin('locust')}" in needed
    assert {"requests", "opentelemetry-sdk", "typer"} < set(needed)
    assert not any(name.startswith(("mlflow", "types-", "pytest")) for name in needed)


def test_what_cannot_be_had_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uv(tmp_path, monkeypatch, REFUSED)
    with pytest.raises(CannotInstallError) as refused:
        python_of("3.18.0", tmp_path / "cache")
    assert str(refused.value) == (
        "mlflow 3.18.0 cannot be installed: Because there is no version of b==3 and a==3 depends "
        "on b==3, a cannot be used."
    )
    assert list((tmp_path / "cache/clients").iterdir()) == []
