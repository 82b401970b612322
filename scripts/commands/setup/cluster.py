"""The test cluster, for the stacks that go to it and no others."""

import os
import shutil
import subprocess
from collections.abc import Iterable

from scripts.offline.test_cluster import build, layout
from scripts.shared import machine, ui
from scripts.shared.project import ROOT, VENV
from scripts.stack import files

PART = "cluster"
CONTEXT = layout.CONTEXT
COMMAND = [f"{VENV}/bin/python", "-m", "scripts.offline.test_cluster"]


def wanted(stacks: Iterable[str]) -> bool:
    """Tell whether one of these stacks' files names the test cluster's context."""
    return any(files.context(stack) == CONTEXT for stack in stacks)


def runs() -> bool:
    """Tell whether the cluster runs."""
    return machine.output([*COMMAND, "status"], timeout=60, cwd=ROOT) is not None


def kubectl() -> str | None:
    """Return the person's own kubectl, or the cluster's; None where there is neither."""
    return shutil.which("kubectl") or shutil.which(build.folder() / "kubectl")


def start() -> bool:
    """Start the cluster; return False where it runs already.

    Raises:
        ui.SetupError: it cannot be started; the reason was printed.
    """
    if runs():
        return False
    _run("up")
    return True


def end() -> None:
    """End the cluster."""
    _run("down")


def _run(command: str) -> None:
    done = subprocess.run([*COMMAND, command], cwd=ROOT, stdin=subprocess.DEVNULL, env=os.environ)
    if done.returncode:
        raise ui.SetupError("the test cluster is needed by a stack; see docs/kubernetes.md")
