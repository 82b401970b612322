"""What the launchers want to know of a stack file."""

import functools
import json
import subprocess
from pathlib import Path
from typing import Any

from scripts.prepare import state, ui
from scripts.prepare.pins import PROJECT, ROOT
from scripts.prepare.venv import PYTHON


def config(stack: str) -> dict[str, Any]:
    """Return the project's own keys of a stack's file, as `port`.

    Raises:
        ui.SetupError: the file cannot be read, or nothing was set up here yet.
    """
    path = state.config_of(stack)
    try:
        changed_ns = path.stat().st_mtime_ns
    except OSError as error:
        raise ui.SetupError(f"{path}: {error.strerror}") from None
    prefix = f"{PROJECT}:"
    found = _read(path, changed_ns)
    return {k.removeprefix(prefix): found[k] for k in found if k.startswith(prefix)}


def port(stack: str) -> int | None:
    """Return the port of a stack; None where its file has none, or no number."""
    given = str(config(stack).get("port", ""))
    return int(given) if given.isascii() and given.isdigit() else None


def context(stack: str) -> str | None:
    """Return the kubeconfig context that a stack goes to; None for one on Docker."""
    cluster = config(stack).get("kubernetes")
    found = cluster.get("context") if isinstance(cluster, dict) else None
    return found if isinstance(found, str) else None


@functools.lru_cache
def _read(path: Path, changed_ns: int) -> dict[str, Any]:
    """Read a file with the project's packages, which this Python may not have; once."""
    argv = [str(PYTHON), "-m", "infra.stack_file", str(path)]
    try:
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        raise ui.SetupError(f"{path}: cannot be read yet: run scripts/setup first") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise ui.SetupError(said[-1])
    found: dict[str, Any] = json.loads(done.stdout)
    return found
