"""The image of a load in the cluster has what the load imports, and no more."""

import ast
import json
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

from infra.image.context import stage as stage_image
from workloads import in_cluster

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
    owners = packages_distributions()
    # Three distributions have a part of mlflow.
    wanted = {
        next((o for o in owners[name] if o in packages), owners[name][0].replace("_", "-").lower())
        for file in files
        for node in ast.walk(ast.parse(Path(file).read_text()))
        for name in imported(node)
        if name not in sys.stdlib_module_names | {"workloads", "infra"}
    }
    assert wanted == packages


def imported(node: ast.AST) -> list[str]:
    """The top-level packages that a statement imports."""
    if isinstance(node, ast.Import):
        return [alias.name.partition(".")[0] for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.module:
        return [node.module.partition(".")[0]]
    return []
