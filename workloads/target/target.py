"""The only place that reads a stack: its outputs, as a `Target`."""

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from infra import stack_file
from infra.outputs import (
    ADMIN_PASSWORD_OUTPUT,
    SECRETS_OUTPUT,
    TARGET_OUTPUT,
    AuditSecrets,
    Target,
)
from workloads import CannotRunError
from workloads.plan import limits
from workloads.target.access import Access, checked_ca

PROJECT = Path(__file__).resolve().parents[2]


OBJECTIVES = "workloads:objectives"
"""Key of a stack file's `config` with the stack's own objectives."""


@dataclass(frozen=True)
class Subject:
    """What is tested. `objectives` are those of the stack file, as `plan.limits` reads them.

    `access` is what clients need to be let in, as far as the stack says so.
    """

    name: str
    tracking_uri: str
    target: Target | None = None
    secrets: AuditSecrets | None = None
    objectives: dict[str, Any] = field(default_factory=dict)
    access: Access = field(default_factory=Access)


def at(url: str, option: str = "--url") -> Subject:
    """Make a subject of the address of any tracking server, as it was given by an option.

    Raises `CannotRunError` if it is no HTTP address, or holds a password: those are read by
    others in the list of processes and in the report.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise CannotRunError(f"{option} {url}: give an address as https://mlflow.example.com")
    if parts.username or parts.password:
        raise CannotRunError(
            f"{option}: leave user and password out of it; set MLFLOW_TRACKING_USERNAME and "
            "MLFLOW_TRACKING_PASSWORD"
        )
    return Subject(name=parts.netloc, tracking_uri=url.rstrip("/"))


def load(stack: str) -> Subject:
    """Read a deployed stack with the `pulumi` on PATH.

    Raises `CannotRunError` if there is no such stack, it is not deployed, or pulumi is missing.
    """
    stacks = sorted(p.name.split(".")[1] for p in (PROJECT / "stacks").glob("Pulumi.*.yaml"))
    if stack not in stacks:
        raise CannotRunError(f"unknown stack {stack!r}: the folder stacks has {', '.join(stacks)}")
    if shutil.which("pulumi") is None:
        raise CannotRunError("pulumi is not on PATH: run `. scripts/activate` first")
    # By the command line: the Automation API would bring gRPC and its threads into the process
    # that measures.
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
        target = Target.model_validate(outputs[TARGET_OUTPUT])
        secrets = outputs.get(SECRETS_OUTPUT)
        return Subject(
            name=stack,
            tracking_uri=target.tracking_uri,
            target=target,
            secrets=AuditSecrets.model_validate(secrets) if secrets else None,
            objectives=_objectives(stack),
            access=_access(stack, target, outputs.get(ADMIN_PASSWORD_OUTPUT)),
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise CannotRunError(
            f"stack {stack!r}: output {TARGET_OUTPUT}.{where}: {first['msg']}; "
            f"deploy it again with this version: pulumi up -s {stack}"
        ) from None


def _access(stack: str, target: Target, password: str | None) -> Access:
    """Return how a stack lets clients in; raises `CannotRunError` if its CA is not to be had."""
    ca_file = None
    if target.ca_file:
        where = f"stack {stack!r}: its CA file {target.ca_file}"
        try:
            ca_file = checked_ca(Path(target.ca_file), where)
        except CannotRunError as error:
            raise CannotRunError(f"{error}; pulumi up -s {stack} writes it again") from None
    if target.username and not password:
        raise CannotRunError(
            f"stack {stack!r}: output {ADMIN_PASSWORD_OUTPUT} is missing; deploy it again with "
            f"this version: pulumi up -s {stack}"
        )
    return Access(ca_file, target.username, password if target.username else None)


def _objectives(stack: str) -> dict[str, Any]:
    """Read the objectives that the stack file sets; numbers, as `pulumi config set` writes text."""
    path = PROJECT / "stacks" / f"Pulumi.{stack}.yaml"
    try:
        value: Any = stack_file.read(path).get(OBJECTIVES, {})
    except stack_file.StackFileError as error:
        raise CannotRunError(str(error)) from None
    return limits.of_stack(value, f"{path}: {OBJECTIVES}")


def _not_deployed(stack: str) -> str:
    return f"stack {stack!r} is not deployed: run `pulumi up -s {stack}` first"
