"""One process of the load generator: what its users share, and when their turns begin."""

import time
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import gevent  # type: ignore[import-untyped]
from gevent.event import Event  # type: ignore[import-untyped]

from workloads.history.history import History
from workloads.load.arrivals import Schedule
from workloads.load.errand import Errand
from workloads.load.session import Session
from workloads.load.tickets import Tickets
from workloads.plan.plan import Plan, Stage

if TYPE_CHECKING:
    from locust.env import Environment

    from workloads.load.exports import Exports

# Messages between the generator and its processes.
WARM = "warm"
"""From a user: it has done everything at least once."""
STAGE = "stage"
"""To the processes: the schedule from now on."""
END = "end"
"""To the processes: the moment at which the schedule ends."""


class Process:
    """A process of the load generator."""

    def __init__(
        self,
        environment: "Environment",
        history: History,
        plan: Plan,
        index: int,
        tickets: Tickets | None = None,
    ) -> None:
        self.environment = environment
        self.history = history
        self.plan = plan
        self.index = index
        self.schedule: Schedule | None = None
        self._tickets = tickets or Tickets()
        self._row = 0
        self._changed = Event()
        self.exports: Exports | None = None
        """What its users' clients send by themselves; None: it is not watched."""
        self._users = 0
        self.newest: Session | None = None
        """The user that came last; of users that compute the only one."""
        self._callers: WeakKeyDictionary[Any, Session | Errand] = WeakKeyDictionary()

    def new_session(self) -> Session:
        """Return the session of a new user; numbers are unique among all processes."""
        user = self.index + self._users * self.plan.processes
        self._users += 1
        self.newest = Session(self, user)
        return self.newest

    def attribute_calls_to(self, caller: Session | Errand) -> None:
        """Count the calls of the current greenlet as this user's."""
        self._callers[gevent.getcurrent()] = caller

    def caller(self) -> Session | Errand | None:
        """Return whose calls those of the current greenlet are; None: nobody said."""
        return self._callers.get(gevent.getcurrent())

    def current_session(self) -> Session | Errand | None:
        """Return the user of the current greenlet.

        Threads of autologging are known by no greenlet: they belong to the only user there is.
        """
        return self.caller() or self.newest

    def follow(self, stage: Stage | None, begin_ns: int, row: int = 0) -> None:
        """Follow this stage's schedule from now on; None: users wait for the next one.

        `row` is that of the schedule's tickets.
        """
        self.schedule = None
        if stage:
            self.schedule = Schedule(
                stage, begin_ns, seed=self.plan.seed, ticket=lambda: self._tickets.take(row)
            )
            self._row = row
        self._wake()

    def end(self, end_ns: int) -> None:
        """End the schedule there: turns planned until then still take place."""
        if self.schedule:
            self.schedule.end_ns = end_ns
            self._wake()

    def _wake(self) -> None:
        changed, self._changed = self._changed, Event()
        changed.set()

    def wait_for_turn(self, user: int) -> tuple[int, bool] | None:
        """Wait for this user's next turn; None in a closed loop, where it is now.

        Otherwise returns its planned time in ns, and whether it was overdue: every user was busy,
        as an idle one would have waited for it. Waits while there is no schedule.
        """
        while True:
            changed = self._changed
            if (schedule := self.schedule) is None:
                changed.wait()
            elif not schedule.planned:
                return None
            elif (planned := schedule.next(user)) is None:
                changed.wait()
            else:
                left_s = (planned - time.monotonic_ns()) / 1e9
                if left_s <= 0:
                    return planned, True
                while left_s > 0 and schedule is self.schedule and planned <= schedule.end_ns:
                    self._changed.wait(left_s)
                    left_s = (planned - time.monotonic_ns()) / 1e9
                if schedule is self.schedule and planned <= schedule.end_ns:
                    return planned, False

    def finish_turn(self) -> None:
        """Count a planned turn as over."""
        self._tickets.finish(self._row)

    def warm(self, user: int) -> None:
        """Tell the generator that this user is warm."""
        if runner := self.environment.runner:
            runner.send_message(WARM, user)
