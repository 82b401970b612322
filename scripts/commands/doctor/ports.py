"""The ports of the stack files: free, the stack's own, or taken by somebody else."""

import contextlib
import json
import re
import socket
from collections.abc import Iterator, Mapping

from infra.labels import LABEL_STACK
from scripts.commands.doctor.finding import Finding, good, wrong
from scripts.shared import machine
from scripts.shared.project import STATE
from scripts.stack import files

DEFAULT = 5000


def check() -> Iterator[Finding]:
    """Look at the port of every stack file."""
    users: dict[int, list[str]] = {}
    for stack in files.names():
        users.setdefault(of(stack), []).append(stack)
    for port, stacks in users.items():
        yield judge(port, stacks, listening(port), holders())


def of(stack: str) -> int:
    """Return the port of a stack's tracking server, from its file."""
    return files.port(stack) or DEFAULT


def listening(port: int) -> bool:
    """Whether somebody accepts connections at a port of loopback."""
    with socket.socket() as probe:
        probe.settimeout(2)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def holders() -> Mapping[int, str]:
    """Stacks by the port of this machine that a container or a port-forward of theirs holds."""
    form = '{{.Label "' + LABEL_STACK + '"}}\t{{.Ports}}'
    argv = ["docker", "ps", "--filter", f"label={LABEL_STACK}", "--format", form]
    stacks: dict[int, str] = {}
    for line in (machine.output(argv) or "").splitlines():
        stack, _, ports = line.partition("\t")
        stacks |= {int(port): stack for port in re.findall(r":(\d+)->", ports)}
    for path in (STATE / "forward").glob("*.json"):
        with contextlib.suppress(OSError, ValueError, KeyError):  # it may be being written
            forwarded = json.loads(path.read_text())["ports"]
            stacks |= {port["port"]: path.stem for port in forwarded}
    return stacks


def judge(port: int, stacks: list[str], taken: bool, held: Mapping[int, str]) -> Finding:
    """Judge a port that some stacks want."""
    names = ", ".join(stacks)
    if not taken:
        return good("ports", f"{port} is free, for {names}")
    if port in held:
        return good("ports", f"{port} is held by the stack {held[port]}")
    return wrong(
        "ports",
        f"{port} is taken, and {names} want{'s' if len(stacks) == 1 else ''} it",
        "a program that is no stack of this checkout listens there",
        f"end it (ss -ltnp 'sport = :{port}' names it), or choose another port: pulumi config set "
        f"-s {stacks[0]} port {port + 1}",
    )
