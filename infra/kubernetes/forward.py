"""The port-forward of a stack as a resource: `up` starts its process, `destroy` ends it."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pulumi
from pulumi import dynamic

from infra.kubernetes import forward_process
from infra.kubernetes.forward_process import ForwardedPort, Plan
from infra.own_provider import OwnProvider

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".state" / "forward"
LOOPBACK = "127.0.0.1"
START_SECONDS = 20
STOP_SECONDS = 10
PLAN = ("stack", "context", "namespace", "wanted")
"""Properties that, when changed, ask for another process."""


def plan_file(stack: str) -> Path:
    """Return the file with the plan of a stack's process."""
    return FOLDER / f"{stack}.json"


def is_alive(stack: str) -> bool:
    """Tell whether the process of a stack runs: it holds a lock on its plan."""
    try:
        with plan_file(stack).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def open_ports(stack: str) -> dict[str, int]:
    """Return the ports on which the process of a stack listens, by name; none before it does."""
    if not is_alive(stack):
        return {}
    try:
        plan = json.loads(plan_file(stack).read_text())
    except ValueError:
        return {}  # It is being written.
    if not plan.get("listening"):
        return {}
    return {port["name"]: port["port"] for port in plan["ports"]}


def start(stack: str, plan: Plan) -> dict[str, int]:
    """Start the process of a stack; return its ports by name when they are open.

    Raises `RuntimeError`, with its last line, when it does not start.
    """
    stop(stack)
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = plan_file(stack)
    path.touch(mode=0o600)
    path.write_text(json.dumps(plan))
    log = path.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", forward_process.__name__, str(path)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    deadline = time.monotonic() + START_SECONDS
    while not (ports := open_ports(stack)):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = log.read_text(errors="replace").strip().splitlines() or ["it printed nothing"]
            stop(stack)
            raise RuntimeError(f"the port-forward of {stack} did not start: {lines[-1]}")
        time.sleep(0.05)
    process.returncode = 0  # It outlives this program: spare it the warning about a running child.
    return ports


def stop(stack: str) -> None:
    """End the process of a stack, if it runs."""
    path = plan_file(stack)
    deadline = time.monotonic() + STOP_SECONDS
    while is_alive(stack):
        number = signal.SIGTERM if time.monotonic() < deadline else signal.SIGKILL
        with contextlib.suppress(OSError, KeyError, ValueError):
            os.kill(json.loads(path.read_text())["pid"], number)
        time.sleep(0.1)
    path.unlink(missing_ok=True)


class Forwarder(OwnProvider):
    """Starts and ends the process of a stack."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Start it."""
        return dynamic.CreateResult(id_=props["stack"], outs=_start(props, {}))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Tell whether it has to be started again: its plan has changed, or it was killed."""
        changed = [key for key in PLAN if olds.get(key) != news[key]]
        return dynamic.DiffResult(
            changes=bool(changed) or not is_alive(olds["stack"]),
            replaces=["stack"] if "stack" in changed else [],
            delete_before_replace=True,
        )

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Start it again, where possible on the same ports."""
        return dynamic.UpdateResult(outs=_start(news, olds.get("ports") or {}))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """End it."""
        stop(props["stack"])
        plan_file(props["stack"]).with_suffix(".log").unlink(missing_ok=True)


def _start(props: dict[str, Any], former_ports: dict[str, int]) -> dict[str, Any]:
    stack = props["stack"]
    stop(stack)
    # The engine returns numbers as floats.
    forwarded = [
        ForwardedPort(
            name=port["name"],
            service=port["service"],
            number=int(port["number"]),
            target=int(port["target"]),
            address=port["address"],
            port=int(port["port"] or former_ports.get(port["name"]) or 0),
        )
        for port in props["wanted"]
    ]
    plan = Plan(context=props["context"], namespace=props["namespace"], ports=forwarded)
    try:
        ports = start(stack, plan)
    except RuntimeError:
        if not former_ports:
            raise
        return _start(props, {})  # Another program may hold one of the former ports.
    return {**props, "ports": ports}


def forwarded_port(
    name: str,
    service: str,
    target: int,
    *,
    number: int = 0,
    address: str = LOOPBACK,
    port: int = 0,
) -> ForwardedPort:
    """Describe a port that leads to `target` of the pods of `service`; see `ForwardedPort`."""
    return ForwardedPort(
        name=name, service=service, target=target, number=number, address=address, port=port
    )


class PortForward(dynamic.Resource):
    """This machine's ports that lead to the pods of a stack."""

    ports: pulumi.Output[dict[str, int]]
    """Port by name."""

    def __init__(
        self,
        name: str,
        stack: str,
        context: pulumi.Input[str],
        namespace: str,
        forwarded: Sequence[ForwardedPort],
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {"stack": stack, "context": context, "namespace": namespace, "wanted": forwarded}
        super().__init__(Forwarder(), name, {**props, "ports": None}, opts)
