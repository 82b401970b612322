"""The only place that reads a stack: its outputs, as a `Target`."""

import json
import shutil
import subprocess
from pathlib import Path

from pydantic import ValidationError

from infra.outputs import TARGET_OUTPUT, Target
from workloads.errors import CannotRunError

PROJECT = Path(__file__).resolve().parent.parent


def load(stack: str) -> Target:
    """Read the target of a deployed stack with the `pulumi` on PATH.

    Raises `CannotRunError` if there is no such stack, it is not deployed, or pulumi is missing.
    """
    known = sorted(p.name.split(".")[1] for p in (PROJECT / "stacks").glob("Pulumi.*.yaml"))
    if stack not in known:
        raise CannotRunError(f"unknown stack {stack!r}: the folder stacks has {', '.join(known)}")
    if shutil.which("pulumi") is None:
        raise CannotRunError("pulumi is not on PATH: run `. scripts/activate` first")
    answer = subprocess.run(
        ["pulumi", "stack", "output", "--json", "--show-secrets", "-s", stack],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    if answer.returncode != 0:
        lines = answer.stderr.strip().splitlines() or ["no message"]
        if "no stack named" in answer.stderr:
            raise CannotRunError(_not_deployed(stack))
        raise CannotRunError(f"pulumi stack output -s {stack}: {lines[-1].strip()}")
    try:
        outputs = json.loads(answer.stdout)
    except ValueError:
        raise CannotRunError(f"pulumi stack output -s {stack}: the answer is not JSON") from None
    if TARGET_OUTPUT not in outputs:
        raise CannotRunError(_not_deployed(stack))
    try:
        return Target.model_validate(outputs[TARGET_OUTPUT])
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CannotRunError(
            f"stack {stack!r}: output {TARGET_OUTPUT}.{where}: {first['msg']}; "
            f"deploy it again with this version: pulumi up -s {stack}"
        ) from None


def _not_deployed(stack: str) -> str:
    return f"stack {stack!r} is not deployed: run `pulumi up -s {stack}` first"
