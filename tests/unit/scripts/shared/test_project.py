"""What the project imports is pinned because the project says so, not because a library does."""

import ast
import re
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).resolve().parents[4]
SOURCES = {"infra", "scripts", "tests", "workloads"}


def named(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            found.add(node.module)
    return found


def test_every_import_is_a_dependency_of_its_own() -> None:
    declared = {
        named(one)
        for one in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    }
    pinned = {
        named(line)
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if re.match(r"[\w.-]+==", line)
    }
    assert declared <= pinned
    users: dict[str, str] = {}
    for folder in SOURCES:
        for path in (ROOT / folder).rglob("*.py"):
            users |= {name.split(".")[0]: str(path) for name in imports(path)}
    distributions = packages_distributions()
    # A name that no distribution has is one of our own modules.
    missing = {
        name: user
        for name, user in users.items()
        if name in distributions.keys() - SOURCES
        and declared.isdisjoint(map(named, distributions[name]))
    }
    assert not missing
