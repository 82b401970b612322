"""The base of all users: one call or step a turn, in a closed loop or when it is planned."""

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import gevent  # type: ignore[import-untyped]
from locust import User, task
from mlflow.tracking import MlflowClient

from workloads import error_summary
from workloads.load.process import Process
from workloads.load.session import Session

AFTER_FAILURE_S = 0.1
"""Pause after a failed call, so that refusals do not turn users into a flood."""

Activity = Callable[["Person"], Iterator[None]]
"""What a user does, without end: each `next` makes one call or one step."""


class Person(User):
    """A user of a tracking server; subclasses name its activities."""

    abstract = True
    process: ClassVar[Process]
    activities: ClassVar[dict[Activity, int]]
    """Activities with their weights: each turn continues one of them by one call."""

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.session: Session = self.process.new_session()
        self.client = MlflowClient(self.process.plan.tracking_uri)
        self.parameters = self.process.plan.parameters
        self._running: dict[Activity, Iterator[None]] = {}
        self._due: tuple[int, bool] | None = None
        self._waited = False

    def on_start(self) -> None:
        """Begin, in this user's greenlet."""
        self.session.begin(waits=True)
        if self.process.schedule is None:  # there is nothing to do before the schedule
            self.session.warm()

    def wait_time(self) -> float:
        """Wait for the next turn; Locust calls this after each one, and may end the user here."""
        self._due = self.process.wait_for_turn(self.session.user)
        self._waited = True
        return 0.0

    @task
    def turn(self) -> None:
        """Take a turn. Locust's first one comes before any wait, and does nothing."""
        if not self._waited:
            return
        if self._due is None:
            self._continue()
            return
        planned_ns, queued = self._due
        self.session.plan_turn(planned_ns, queued=queued)
        try:
            self._continue()
        finally:
            self.session.plan_turn(None)
            self.process.finish_turn()

    def _continue(self) -> None:
        chosen = self._choose()
        try:
            next(self._running.setdefault(chosen, chosen(self)))
        except AssertionError as error:
            # A wrong answer is a failure, whatever its status.
            del self._running[chosen]
            self.session.record_wrong_answer(str(error))
        except Exception as error:
            # The history has the failed call; the activity ends with it.
            del self._running[chosen]
            if self.session.answered:  # with success, but the client could not use it
                self.session.record_wrong_answer(f"{self.session.answered}: {error_summary(error)}")
            gevent.sleep(AFTER_FAILURE_S)
        self.session.warm()

    def read_run(self, run_id: str) -> None:
        """Read a run; raises `AssertionError` if the answer is another one."""
        answered_id = self.client.get_run(run_id).info.run_id
        if answered_id != run_id:
            raise AssertionError(f"run {run_id} was asked for, and another run came: {answered_id}")

    def _choose(self) -> Activity:
        if len(self.activities) == 1:
            return next(iter(self.activities))
        return self.session.random.choices(list(self.activities), list(self.activities.values()))[0]
