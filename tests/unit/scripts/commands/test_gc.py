"""`scripts/gc`: what it starts in a stack, and what it makes of the answer."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from infra.outputs import Component
from scripts.archive import RefusedError
from scripts.commands import gc
from tests.unit.workloads.builders import target
from workloads.target import target as stacks
from workloads.target.target import Subject

REPLICA = [
    "mlflow",
    "server",
    "--backend-store-uri=postgresql+psycopg2://mlflow@postgres:5432/mlflow?sslmode=require",
    "--serve-artifacts",
    "--artifacts-destination=s3://mlflow/team=a",
    "--default-artifact-root=mlflow-artifacts:/",
]
NOTHING = {
    "experiments": 0,
    "runs": 0,
    "logged_models": 0,
    "traces": 0,
    "other_rows": 0,
    "content": {"objects": 0, "size": 0, "uploads": 0, "folders": 0},
    "notes": [],
}


class Host:
    """A stack that answers as the program in its image does."""

    def __init__(self) -> None:
        self.answer: str = ""
        self.commands: list[list[str]] = []

    def says(self, **changes: Any) -> None:
        self.answer = f"a warning\n{json.dumps(NOTHING | changes)}\n"

    def alone(
        self, name: str, component: Component, command: Callable[[Sequence[str]], list[str]]
    ) -> str:
        assert (name, component.kind) == ("gc", "mlflow")
        self.commands.append(command(REPLICA))
        return self.answer


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    host = Host()
    stack = target()
    monkeypatch.setattr(stacks, "load", lambda _: Subject("local", stack.tracking_uri, stack))
    monkeypatch.setattr(gc, "host_of", lambda _: host)
    return host


def test_it_works_on_the_stores_of_a_replica(host: Host) -> None:
    host.says()
    assert gc.main(["local", "--older-than", "1d12h", "--jobs", "--dry-run"]) == 0
    assert host.commands == [
        [
            "garbage-collection",
            "--database-uri=postgresql+psycopg2://mlflow@postgres:5432/mlflow?sslmode=require",
            "--artifacts-destination=s3://mlflow/team=a",
            "--older-than=1d12h",
            "--jobs",
            "--dry-run",
        ]
    ]


def test_the_table_and_the_last_line(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    content = {"objects": 12, "size": 3 * 2**19, "uploads": 1, "folders": 2}
    host.says(runs=5, content=content, notes=["experiment 7 stays: a [reason]"])
    assert gc.main(["local"]) == 0
    printed = capsys.readouterr().out
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines()]
    rows = dict(row for row in cells if len(row) == 2)
    assert rows["runs"] == "5"
    assert (rows["artifacts"], rows["MiB of artifacts"]) == ("12", "1.5")
    assert (rows["unfinished uploads"], rows["empty folders"]) == ("1", "2")
    assert "would be removed" not in printed
    assert "note: experiment 7 stays: a [reason]\n" in printed
    assert "gc: local has nothing more of it, in " in printed

    host.says()
    assert gc.main(["local"]) == 0
    assert "gc: nothing to remove, in " in capsys.readouterr().out
    assert gc.main(["local", "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert "would be removed" in printed
    assert "gc: nothing was removed from local: a dry run, in " in printed


@pytest.mark.parametrize("age", ["tomorrow", "", "3", "h", "1h1d", "-1d", "1d 2h", "1w"])
def test_a_wrong_age_is_one_line(host: Host, age: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        gc.main(["local", f"--older-than={age}"])
    assert "give days, hours, minutes as 30d or 1d12h" in capsys.readouterr().err
    assert host.commands == []


def test_an_image_of_before(host: Host, capsys: pytest.CaptureFixture[str]) -> None:
    for answer in ("", '{"runs": 1}', "no JSON"):
        host.answer = answer
        assert gc.main(["local"]) == 2
        assert capsys.readouterr().err == (
            "gc: the stack's image does not say what was removed: bring the stack up to date, "
            "pulumi up -s local\n"
        )


def test_what_fails_is_said_in_its_words(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any) -> str:
        raise RefusedError("docker start x: garbage-collection: failed: no")

    monkeypatch.setattr(host, "alone", refuse)
    assert gc.main(["local"]) == 2
    assert capsys.readouterr().err == "gc: no\n"


def test_the_launcher_is_there() -> None:
    launcher = Path(__file__).parents[4] / "scripts" / "gc"
    assert "scripts.commands.gc" in launcher.read_text()
    assert launcher.stat().st_mode & 0o111
