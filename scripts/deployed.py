"""What is deployed: its state as Pulumi has it, and what Docker has of it."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
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

READ_S = 60.0

NO_STACK = re.compile(r"no stack named '.*' found")


class LockedError(ui.SetupError):
    """Somebody else's engine is at work on a stack: it is not ours to change or to remove."""


@dataclass(frozen=True)
class Lock:
    """What an engine that works on a stack leaves beside its state in a folder.

    Attributes:
        since: when it began.
        alive: it may still run.
    """

    pid: int
    host: str
    since: datetime
    alive: bool


@dataclass(frozen=True)
class State:
    """What Pulumi knows of a stack.

    Attributes:
        resources: number of resources that exist.
        unfinished: number of operations that a killed engine began; what they made is unknown.
        deployments: ids in the labels of all of these.
        oldest: when the first of the resources was created.
    """

    resources: int = 0
    unfinished: int = 0
    deployments: frozenset[str] = frozenset()
    oldest: datetime | None = None

    @property
    def empty(self) -> bool:
        """Nothing is deployed, and nothing was being deployed."""
        return not self.resources and not self.unfinished

    def begun_after(self, moment: datetime) -> bool:
        """Tell whether all that is deployed was made after a moment."""
        return self.oldest is None or self.oldest > moment


def unlock(stack: str) -> datetime | None:
    """Remove the lock that a killed engine of this host left on a stack.

    Returns:
        when that engine began; None where there was no lock.

    Raises:
        LockedError: an engine that still runs holds it.
    """
    if own_backend(os.environ):
        return None
    holders = locks(stack)
    for lock in holders:
        if lock.alive:
            raise LockedError(
                f"pulumi (process {lock.pid} on {lock.host}) is at work on {stack}: wait until it "
                f"ends; if it is dead: . scripts/activate; pulumi cancel -s {stack}"
            )
    if not holders:
        return None
    ui.say(stack, f"removing the lock that process {holders[0].pid} left when it was killed")
    argv = ["pulumi", "cancel", "--yes", "--stack", stack]
    ui.run(stack, "pulumi cancel", argv, log=LOGS / f"cancel-{stack}.log", cwd=ROOT)
    return min(lock.since for lock in holders)


def locks(stack: str) -> list[Lock]:
    """Return each lock on a stack in the checkout's own backend."""
    return [lock for lock in map(_read_lock, _lock_files(stack)) if lock]


def read_state(stack: str) -> State:
    """Return what Pulumi knows of a stack; nothing where it has no stack of that name.

    Raises:
        ui.SetupError: it cannot be read, so that nobody knows what is deployed.
    """
    # With secrets, which are not kept: so a wrong passphrase shows here, not half-way.
    argv = ["pulumi", "stack", "export", "--show-secrets", "--non-interactive", "--stack", stack]
    try:
        done = subprocess.run(
            argv,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=READ_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise _unreadable(stack, f"pulumi does not answer within {READ_S:g} s") from None
    except OSError as error:
        raise _unreadable(stack, f"pulumi cannot be run: {error.strerror}") from None
    if done.returncode:
        if NO_STACK.search(done.stderr):
            return State()
        said = done.stderr.strip().splitlines() or [f"status {done.returncode}"]
        raise _unreadable(stack, said[-1].strip().removeprefix("error: "))
    try:
        deployment = json.loads(done.stdout)["deployment"] or {}
        resources = deployment.get("resources") or []
        created = [datetime.fromisoformat(one["created"]) for one in resources if "created" in one]
        return State(
            resources=len(resources),
            unfinished=len(deployment.get("pending_operations") or []),
            deployments=frozenset(_labels(deployment)),
            oldest=min(created, default=None),
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _unreadable(stack, "what pulumi says of it is no state") from None


def _unreadable(stack: str, why: str) -> ui.SetupError:
    return ui.SetupError(
        f"the state of {stack} cannot be read, so nothing was done with it: {why}; see: "
        f". scripts/activate; pulumi stack export -s {stack}"
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


def _read_lock(path: Path) -> Lock | None:
    try:
        content = json.loads(path.read_text())
        pid, host = int(content["pid"]), str(content["hostname"])
        since = datetime.fromisoformat(content["timestamp"])
    except (OSError, ValueError, KeyError):
        return None
    alive = host != socket.gethostname() or machine.program(pid) == "pulumi"
    return Lock(pid, host, since, alive)
