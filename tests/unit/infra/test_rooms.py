"""Which room of infra/ imports which, as docs/architecture.md shows them."""

import ast
from pathlib import Path

import pytest

INFRA = Path(__file__).parents[3] / "infra"
SHARED = {"components", "specification", "image", "checks", "labels", "names", "outputs"}
SHARED |= {"own_provider", "password", "encryption_keys", "stores", "state", "loopback"}
SHARED |= {"automation", "stack_file", "releases"}
SHARED |= {"kubeconfig", "users", "certificates", "tls"}

MAY_IMPORT = {
    "components": {"outputs"},
    "specification": {"components", "outputs", "stack_file", "releases"},
    "image": {"components", "specification", "own_provider", "releases"},
    "checks": SHARED - {"image"},
    "docker": SHARED,
    "kubernetes": SHARED,
}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_a_room_imports_only_what_is_below_it(room: str) -> None:
    modules = {
        module
        for file in (INFRA / room).glob("*.py")
        for statement in ast.parse(file.read_text()).body
        for module in imported(statement)
    }
    rooms = {module.split(".")[1] for module in modules if module.startswith("infra.")}
    assert rooms - {room} <= MAY_IMPORT[room]
    assert not {module for module in modules if module.split(".")[0] in ("scripts", "workloads")}


def imported(statement: ast.stmt) -> list[str]:
    """Return the modules that a statement at the top of a file imports."""
    if isinstance(statement, ast.ImportFrom):
        return [f"{statement.module}.{alias.name}" for alias in statement.names]
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    return []
