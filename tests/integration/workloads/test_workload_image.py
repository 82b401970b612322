"""The image of a load in the cluster has what the load imports, and no more."""

import ast
import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import files as files_of
from importlib.metadata import packages_distributions
from pathlib import Path

from infra.image.context import stage as stage_image
from workloads import in_cluster

OWNERS = packages_distributions()

IMPORTED = """
import json, sys
import workloads.load.driver, workloads.in_cluster.__main__
from workloads.scenarios import SCENARIOS
for scenario in SCENARIOS.values():
    workloads.load.driver.set_up.named(scenario.users)
files = [module.__file__ for name, module in sys.modules.items() if name.startswith("workloads.")]
print(json.dumps([workloads.in_cluster.code_digest(), files]))
"""


def test_the_image_has_the_code_of_this_machine_and_what_that_imports(tmp_path: Path) -> None:
    staged = stage_image("workload", tmp_path, ca_bundle=None).path
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED],
        cwd=staged / "project",
        capture_output=True,
        text=True,
        check=True,
    )
    digest, files = json.loads(done.stdout)
    assert digest == in_cluster.code_digest()
    assert all(Path(file).is_relative_to(staged) for file in files)
    packages = set((staged / "packages.txt").read_text().split())
    wanted = {
        distribution(module, packages)
        for file in files
        for node in ast.walk(ast.parse(Path(file).read_text()))
        for module in imported(node)
        if module.partition(".")[0] not in sys.stdlib_module_names | {"workloads", "infra"}
    }
    assert wanted == packages


def distribution(module: str, packages: set[str]) -> str:
    """The distribution that a module comes from; of several that have it, one of `packages`."""
    owners = OWNERS[module.partition(".")[0]]
    if len(owners) > 1:  # as all of OpenTelemetry's, which share a namespace
        owners = having(module, owners) or having(module.rpartition(".")[0], owners)
    names = [owner.replace("_", "-").lower() for owner in owners]
    return next((name for name in names if name in packages), names[0])


def having(module: str, owners: Sequence[str]) -> list[str]:
    """Those of the distributions that have a module, or what is below it."""
    place = module.replace(".", "/")
    return [
        owner
        for owner in owners
        if any(str(file).startswith(place) for file in files_of(owner) or ())
    ]


def imported(node: ast.AST) -> list[str]:
    """What a statement imports: modules, or names of one."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [f"{node.module}.{alias.name}" for alias in node.names]
    return []
