"""Who holds the lock of a stack in the checkout's own backend, and whether they are dead.

The Automation API can end a lock but not say whose it is, so these files are read here.
"""

import json
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from scripts.shared import machine
from scripts.shared.project import PROJECT, STATE


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


def held(stack: str) -> list[Lock]:
    """Return each lock on a stack."""
    folder = STATE / ".pulumi" / "locks" / "organization" / PROJECT / stack
    return [lock for lock in map(_read, folder.glob("*.json")) if lock]


def _read(path: Path) -> Lock | None:
    try:
        content = json.loads(path.read_text())
        pid, host = int(content["pid"]), str(content["hostname"])
        since = datetime.fromisoformat(content["timestamp"])
    except (OSError, ValueError, KeyError):
        return None
    alive = host != socket.gethostname() or machine.program(pid) == "pulumi"
    return Lock(pid, host, since, alive)
