"""Stack files as people and Pulumi write them, and what the launchers take from them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import infra
from infra import stack_file
from scripts.commands.doctor import ports
from scripts.commands.doctor.__main__ import _unless_unreadable
from scripts.commands.setup import cluster
from scripts.commands.setup.cluster import CONTEXT
from scripts.shared import project, ui
from scripts.stack import files


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "stacks").mkdir()
    monkeypatch.setattr(files, "ROOT", tmp_path)
    return tmp_path / "stacks"


@pytest.mark.parametrize(
    ("text", "port", "context"),
    [
        ("config:\n  mlflow-bench:port: 5001\n", 5001, None),
        ("config:\n    'mlflow-bench:port': '5001' # mine\n", 5001, None),
        ("config: {mlflow-bench:port: '5001'}\n", 5001, None),
        ("# mlflow-bench:port: 7\nconfig:\n  mlflow-bench:port: ' '\n", None, None),
        ("config:\n  other:port: 5001\n", None, None),
        ("config:\n  mlflow-bench:port: many\n", None, None),
        ("environment:\n  - a/b\nsecretsprovider: awskms://x\n", None, None),
        ("", None, None),
        (f"config:\n  mlflow-bench:kubernetes:\n    context: {CONTEXT}\n", None, CONTEXT),
        (f'config:\n  mlflow-bench:kubernetes: {{"context": "{CONTEXT}"}}\n', None, CONTEXT),
        (f'config:\n  mlflow-bench:kubernetes: \'{{"context": "{CONTEXT}"}}\'\n', None, CONTEXT),
        ("config:\n  mlflow-bench:kubernetes:\n    context: 'a b'  # mine\n", None, "a b"),
        ("config:\n  mlflow-bench:kubernetes: none\n", None, None),
        (f"config:\n  other:it:\n    context: {CONTEXT}\n", None, None),
    ],
)
def test_a_stack_file_is_read_however_it_is_written(
    folder: Path, text: str, port: int | None, context: str | None
) -> None:
    (folder / "Pulumi.mine.yaml").write_text(text)
    assert files.port("mine") == port
    assert ports.of("mine") == port or port is None
    assert files.context("mine") == context
    assert cluster.wanted(["mine"]) is (context == CONTEXT)


def test_a_change_of_a_file_is_seen(folder: Path) -> None:
    for port in (5001, 5002):
        (folder / "Pulumi.mine.yaml").write_text(f"config: {{'mlflow-bench:port': {port}}}\n")
        assert files.port("mine") == port


BROKEN = [
    ("config:\n  a: [1\n", ":3: is no YAML: expected ',' or ']'"),
    ("config: 5\n", ": has no keys below config"),
    ("- 5\n", ": has no keys below config"),
    ("\x00", ": is no YAML"),
]


@pytest.mark.parametrize(("text", "said"), BROKEN)
def test_a_broken_file_is_one_line(folder: Path, text: str, said: str) -> None:
    path = folder / "Pulumi.mine.yaml"
    path.write_text(text)
    for read in (lambda: stack_file.read(path), lambda: files.port("mine")):
        with pytest.raises((ui.SetupError, stack_file.StackFileError)) as raised:
            read()
        (line,) = str(raised.value).splitlines()
        assert line.startswith(f"{path}{said}")


def test_a_file_that_is_not_there_is_one_line(folder: Path) -> None:
    with pytest.raises(ui.SetupError, match=r"Pulumi.mine.yaml: No such file"):
        files.config("mine")


def test_before_anything_is_set_up_that_is_said(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "Pulumi.mine.yaml").write_text("config: {}\n")
    monkeypatch.setitem(sys.modules, "infra.stack_file", None)  # as where PyYAML is missing
    monkeypatch.delattr(infra, "stack_file", raising=False)
    with pytest.raises(ui.SetupError, match="cannot be read yet: run scripts/setup first"):
        files.config("mine")
    (finding,) = _unless_unreadable("ports", ports.check())
    assert (finding.part, finding.good) == ("ports", False)
    assert "run scripts/setup" in finding.why


def test_the_launchers_need_no_yaml_of_their_own() -> None:
    script = "import sys; import scripts.stack.files; print('yaml' in sys.modules)"
    argv = [sys.executable, "-c", script]
    done = subprocess.run(argv, cwd=project.ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("stack", files.names())
def test_every_stack_of_the_project_has_a_port(stack: str) -> None:
    config: dict[str, Any] = files.config(stack)
    assert files.port(stack) == int(config["port"])
