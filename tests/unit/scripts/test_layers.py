"""Imports go one way: what is below knows nothing of what is above it."""

import ast
from pathlib import Path

import pytest

from scripts.shared.project import ROOT

BELOW = {
    "infra": {"infra"},
    "workloads": {"infra", "workloads"},
    "scripts/shared": {"scripts.shared"},
    "scripts/stack": {"infra", "scripts.shared", "scripts.stack"},
    "scripts/offline": {"scripts.offline", "scripts.shared"},
}
"""What each room may import of this project."""


def imported(file: Path) -> set[str]:
    """Modules of this project that a file imports, also within functions."""
    modules: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules |= {f"{node.module}.{alias.name}" for alias in node.names}
    own = ("infra", "workloads", "scripts", "tests")
    return {module for module in modules if module.split(".")[0] in own}


def python_files(folder: str) -> list[Path]:
    return [path for path in (ROOT / folder).rglob("*.py") if ".venv" not in path.parts]


@pytest.mark.parametrize("room", BELOW)
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    files = python_files(room)
    assert files
    for file in files:
        for module in imported(file):
            assert any(f"{module}.".startswith(f"{allowed}.") for allowed in BELOW[room]), (
                f"{file.relative_to(ROOT)} imports {module}"
            )


def test_setup_alone_imports_the_offline_layer() -> None:
    setup = ROOT / "scripts" / "commands" / "setup"
    for file in python_files("scripts/commands"):
        offline = {module for module in imported(file) if module.startswith("scripts.offline")}
        assert not offline or file.is_relative_to(setup), f"{file.relative_to(ROOT)}: {offline}"
