"""What a client does for a user in a thread of its own, while the user goes on."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from workloads.load.session import Session


@dataclass
class Held:
    """A call that failed and that the client may send again: it has not ended yet."""

    op: str
    began_ns: int
    outcome: str
    at_ns: int
    ended: dict[str, Any]

    @property
    def retries(self) -> list[str]:
        """What the client saw of each time that it sent it."""
        return [*self.ended.get("retries", []), str(self.ended.get("error", "no answer"))]


class Errand:
    """One piece of such work, as the export of a few spans; stands for the user in its calls.

    Nobody waits for its calls, and they are timed and judged all the same: what they bring has to
    arrive. `due_ns` is when the work was there to be done, in an open load; from then on its first
    call's response time counts. `queued` says that nobody was free to do it then.
    `retries` says that the client sends a failed call again by itself, above its HTTP library: then
    that is one call, which ends with the errand.
    """

    in_foreground = True
    exporter = True
    step_op: str | None = None
    step_writes = False

    def __init__(self, session: Session, due_ns: int | None = None, *, queued: bool = False):
        self.session = session
        self.user = session.user
        self.calls = 0
        """How many it made so far."""
        self.retries = False
        self.answered: str | None = None
        self.held: Held | None = None
        self._due_ns = due_ns
        self._queued = queued
        self._late_ns: int | None = None

    def next_op(self) -> str:
        """Return a new id for an operation of this user."""
        self.calls += 1
        return self.session.next_op()

    def planned(self) -> dict[str, Any]:
        """Return the planned time of a call that begins now, as `Session.planned` does."""
        if self._due_ns is None:
            return {}
        now = time.monotonic_ns()
        if self._late_ns is None:
            self._late_ns = now - self._due_ns
        return {"planned_ns": now - self._late_ns, "queued": self._queued}
