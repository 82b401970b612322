"""What is deployed: its state as Pulumi has it, and what Docker has of it."""

import json
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.prepare import machine, ui
from scripts.prepare.environment import own_backend
from scripts.prepare.pins import LOGS, PROJECT, ROOT, STATE

LABEL = "mlflow-bench.deployment"
KINDS = {
    "container": (["docker", "ps", "-a"], ["docker", "rm", "-f", "-v"]),
    "network": (["docker", "network", "ls"], ["docker", "network", "rm"]),
    "volume": (["docker", "volume", "ls"], ["docker", "volume", "rm", "-f"]),
}
"""Commands that list and remove what a stack makes; in an order in which removing works."""


@dataclass(frozen=True)
class State:
    """What Pulumi knows of a stack.

    Attributes:
        resources: number of resources that exist.
        unfinished: number of operations that a killed engine began; what they made is unknown.
        deployments: ids in the labels of all of these.
    """

    resources: int = 0
    unfinished: int = 0
    deployments: frozenset[str] = frozenset()


def unlock(stack: str) -> bool:
    """Remove the lock that a killed engine of this host left on a stack; tell whether it did.

    Raises:
        ui.SetupError: an engine that still runs holds it.
    """
    if own_backend(os.environ):
        return False
    holders = locks(stack)
    for pid, host, alive in holders:
        if alive:
            raise ui.SetupError(
                f"pulumi (process {pid} on {host}) is at work on {stack}: wait until it ends; if "
                f"it is dead: . scripts/activate; pulumi cancel -s {stack}"
            )
    if holders:
        ui.say(stack, f"removing the lock that process {holders[0][0]} left when it was killed")
        argv = ["pulumi", "cancel", "--yes", "--stack", stack]
        ui.run(stack, "pulumi cancel", argv, log=LOGS / f"cancel-{stack}.log", cwd=ROOT)
    return bool(holders)


def locks(stack: str) -> list[tuple[int, str, bool]]:
    """Return process, host, and whether it may still run, of each lock on a stack."""
    found = [lock for lock in map(_read_lock, _lock_files(stack)) if lock]
    here = socket.gethostname()
    return [(p, host, host != here or machine.program(p) == "pulumi") for p, host in found]


def read_state(stack: str) -> State:
    """Return what Pulumi knows of a stack; nothing where it does not know the stack."""
    text = machine.output(["pulumi", "stack", "export", "--stack", stack], timeout=60, cwd=ROOT)
    deployment = json.loads(text)["deployment"] if text else {}
    return State(
        resources=len(deployment.get("resources") or []),
        unfinished=len(deployment.get("pending_operations") or []),
        deployments=frozenset(_labels(deployment)),
    )


def remove_labelled(deployments: frozenset[str]) -> Iterator[str]:
    """Remove all that Docker still has of some deployments, and name each thing removed."""
    for deployment in sorted(deployments):
        for kind, (list_command, remove_command) in KINDS.items():
            form = "{{.Names}}" if kind == "container" else "{{.Name}}"
            argv = [*list_command, "--format", form, "--filter", f"label={LABEL}={deployment}"]
            for name in (machine.output(argv, timeout=60) or "").split():
                if machine.output([*remove_command, name], timeout=120) is None:
                    raise ui.SetupError(
                        f"{kind} {name} could not be removed: {' '.join(remove_command)} {name}"
                    )
                yield f"{kind} {name}"


def diagnostics(output: str) -> list[str]:
    """Return the lines in which an engine's output says what went wrong."""
    found = re.search(r"^Diagnostics:\n(.*?)(?=^\S|\Z)", output, re.MULTILINE | re.DOTALL)
    lines = [line.strip() for line in (found[1] if found else output).splitlines() if line.strip()]
    return lines if found else lines[-3:]


def last_step(log: Path) -> str:
    """Return the name and the state of the resource that an engine spoke of last."""
    found = re.match(r"[-+~\s]*\S+ (\S+) (\w+)", ui.last_line(log))
    return f"{found[1]} {found[2]}" if found else ""


def _labels(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("label") == LABEL and isinstance(node.get("value"), str):
            yield node["value"]
        for child in node.values():
            yield from _labels(child)
    elif isinstance(node, list):
        for child in node:
            yield from _labels(child)


def _lock_files(stack: str) -> list[Path]:
    return list((STATE / ".pulumi" / "locks" / "organization" / PROJECT / stack).glob("*.json"))


def _read_lock(path: Path) -> tuple[int, str] | None:
    try:
        content = json.loads(path.read_text())
        return int(content["pid"]), str(content["hostname"])
    except (OSError, ValueError, KeyError):
        return None
