"""One user: its random numbers, and its operations in the history."""

import random
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import gevent  # type: ignore[import-untyped]

from workloads import error_summary
from workloads.history.history import Write
from workloads.history.sightings import Sighting
from workloads.load.errand import Held

if TYPE_CHECKING:
    from workloads.load.process import Process


class Session:
    """A user of a generator process."""

    retries = False
    """Whether calls that failed may be the same call again: the client's HTTP library sees to it.
    """
    held: Held | None = None
    exporter = False
    """Whether a client's exporter of traces makes the calls, and the user does not wait."""

    def __init__(self, process: "Process", user: int) -> None:
        self.process = process
        self.user = user
        self.experiment_id = process.plan.experiment_id
        self.random = random.Random(f"{process.plan.seed}/{user}")  # noqa: S311 - repeatable
        self.answered: str | None = None
        """Name of the last call, if it was answered with success."""
        self.step_op: str | None = None
        self.step_writes = False
        self._planned_ns: int | None = None
        self._queued = False
        self._late_ns: int | None = None
        self._foreground: Any = None
        self._waits = False
        self._operations = 0
        self._warm = False

    @property
    def in_foreground(self) -> bool:
        """Whether the user waits for what the current greenlet does."""
        return self._waits or gevent.getcurrent() is self._foreground

    def begin(self, *, waits: bool = False) -> None:
        """Make the current greenlet this user's.

        `waits`: the user waits for greenlets that the client starts, as those of a download, so
        their calls are its own and not in the background.
        """
        self._foreground = gevent.getcurrent()
        self._waits = waits
        self.process.attribute_calls_to(self)

    @contextmanager
    def step(
        self,
        name: str,
        size: int | None = None,
        writes: list[Write] | None = None,
        shows: Callable[[], list[Sighting]] | None = None,
    ) -> Iterator[str]:
        """Record one whole step; gives a token for the run that it creates.

        An exception becomes the step's outcome and goes no further: the next step follows, as in
        a team where one training fails. `size` is in bytes; `writes` is what the step stores
        beyond what its calls to the server say. `shows` is called when it has ended well, and
        returns what it showed; that takes no time of the step.
        """
        history = self.process.history
        self.step_op = op = self.next_op()
        self.step_writes = bool(writes)
        history.invoke(op, self.user, "step", name, size=size, writes=writes, **self.planned())
        try:
            yield self.token()
        except AssertionError as error:  # how users report a wrong answer
            history.complete("fail", op, error=error_summary(error), wrong=True)
        except Exception as error:
            history.complete("fail", op, error=error_summary(error))
        except BaseException as error:
            history.complete("info", op, error=error_summary(error))
            raise
        else:
            at_ns = time.monotonic_ns()
            history.complete("ok", op, at_ns, **({"saw": shows()} if shows else {}))
        finally:
            self.step_op = None
            self.step_writes = False

    def record_wrong_answer(self, description: str) -> None:
        """Record a wrong answer, as a step that failed."""
        self.plan_turn(None)
        with self.step("wrong answer"):
            raise AssertionError(description)

    def token(self) -> str:
        """Return a new name that no other user draws, in any run with another seed."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def plan_turn(self, planned_ns: int | None, *, queued: bool = False) -> None:
        """Set the planned time of the turn that begins, and whether no user was free then."""
        self._planned_ns, self._queued, self._late_ns = planned_ns, queued, None

    def planned(self) -> dict[str, Any]:
        """Return the planned time of an operation that begins now, for the history.

        The turn's first operation has the turn's planned time. Each further one is due when the
        one before is answered, and is as late as the turn began late.
        """
        if self._planned_ns is None:
            return {}
        now = time.monotonic_ns()
        if self._late_ns is None:
            self._late_ns = now - self._planned_ns
        return {"planned_ns": now - self._late_ns, "queued": self._queued}

    def warm(self) -> None:
        """Tell the generator, once, that this user has done everything at least once."""
        if not self._warm:
            self._warm = True
            self.process.warm(self.user)

    def next_op(self) -> str:
        """Return a new id for an operation."""
        self._operations += 1
        return f"{self.user}.{self._operations}"
