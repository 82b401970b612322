"""What Pulumi has of the stack that is being deployed, as it was before."""

import json
import subprocess
from typing import Any

import pulumi

from infra.build_context import PROJECT
from infra.spec import SpecError

TIMEOUT_SECONDS = 120


def resources(stack: str) -> list[dict[str, Any]]:
    """Return the resources in the state of `stack`, as `pulumi stack export` has them.

    Their secrets stay encrypted. Raises `SpecError` when the state cannot be read: that is not
    the same as nothing deployed.
    """
    # The engine's own call for it ends the engine on a stack that was never deployed (3.256).
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    command = ["pulumi", "stack", "export", f"--stack={name}", "--non-interactive"]
    try:
        done = subprocess.run(
            command,
            # Where a backend's relative address starts; the program itself runs in infra/.
            cwd=PROJECT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SpecError(f"the state of {stack} cannot be read: {error}") from None
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["pulumi stack export failed"])[-1]
        raise SpecError(f"the state of {stack} cannot be read: {said.removeprefix('error: ')}")
    found: list[dict[str, Any]] = json.loads(done.stdout)["deployment"].get("resources") or []
    return found
