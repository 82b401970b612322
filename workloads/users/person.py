"""The base of all users: one call or one step at a time, at once or when it is planned."""

import time
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import gevent  # type: ignore[import-untyped]
from locust import User, task
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from workloads.client import Process, Session

AFTER_FAILURE_S = 0.1
"""Rest after a failed call: a refusal that comes at once must not turn users into a flood."""

Life = Callable[["Person"], Iterator[None]]
"""What a user does, for ever: each `next` makes one call (or one step)."""


class Person(User):
    """A user of a tracking server; subclasses say what it does."""

    abstract = True
    process: ClassVar[Process]
    lives: ClassVar[dict[Life, int]]
    """What this user does, with how often: each turn one of them goes on by one call."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.session: Session = self.process.enter()
        self.client = MlflowClient(self.process.plan.tracking_uri)
        self.parameters = self.process.plan.parameters
        self._lives: dict[Life, Iterator[None]] = {}
        self._planned_ns: int | None = None
        self._queued = False
        self._waited = False

    def on_start(self) -> None:
        """Begin in the greenlet that is this user."""
        self.session.begin()
        if self.process.pace is None:  # nothing to do before the schedule comes
            self.session.warm()

    def wait_time(self) -> float:
        """Seconds until the next call; Locust asks after each turn, and may end the user here."""
        self._planned_ns = self.process.due(self.session.user)
        self._waited = True
        if self._planned_ns is None:
            return 0.0
        left_s = (self._planned_ns - time.monotonic_ns()) / 1e9
        self._queued = left_s < 0  # an idle user would have waited for it
        return max(0.0, left_s)

    @task
    def turn(self) -> None:
        """Do the next thing. Locust's first turn comes unasked, before any wait."""
        if not self._waited:
            return
        self.session.plan_call(self._planned_ns, queued=self._queued)
        chosen = self._choose()
        try:
            next(self._lives.setdefault(chosen, chosen(self)))
        except MlflowException:
            # The call is in the history as what it was; the life is over with it.
            del self._lives[chosen]
            gevent.sleep(AFTER_FAILURE_S)
        except AssertionError as error:
            # An answer that is wrong is a failure, whatever its status was.
            del self._lives[chosen]
            self.session.wrong(str(error))
        self.session.warm()

    def _choose(self) -> Life:
        if len(self.lives) == 1:
            return next(iter(self.lives))
        return self.session.random.choices(list(self.lives), list(self.lives.values()))[0]
