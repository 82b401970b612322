"""One kill at a moment of an update: of a container of the stack, or of the engine itself."""

import os
import random
import signal
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime

from docker.errors import DockerException

from infra.docker.identity import Identity
from infra.outputs import Target
from scripts.stack import locks
from workloads.faults.container_faults import ContainerKill
from workloads.faults.fault import FaultError
from workloads.faults.on_container import connect

JOB, REPLICA, DATABASE, ENGINE = "schema-job", "replica", "database", "pulumi"
VICTIMS = (JOB, REPLICA, DATABASE, ENGINE)

LOOK_S = 0.02

PROOF_S = 5.0
"""Longest time until Docker tells of a container that it ended."""

LATEST = 0.8
"""Share of an update up to which moments are drawn: the next one may be quicker."""

EARLIER = 0.6
"""By which a share gets smaller each time that its moment came too late."""

JOB_S = 2.5
"""Of a schema job, with the import of mlflow, whose own time is not known."""


@dataclass(frozen=True)
class Times:
    """How long an upgrade takes that nobody kills, and its schema job; in s."""

    up_s: float
    job_s: float

    def no_longer_than(self, other: "Times") -> "Times":
        """Return the shorter ones of both."""
        return Times(min(self.up_s, other.up_s), min(self.job_s, other.job_s))


@dataclass(frozen=True)
class Plan:
    """What is killed, and at which share of the time that it is there to be killed."""

    victim: str
    share: float

    def earlier(self, misses: int) -> "Plan":
        """Return it after so many times that the victim was gone before the moment."""
        return Plan(self.victim, round(self.share * EARLIER**misses, 3))


def plans(count: int, seed: int) -> list[Plan]:
    """Return so many: every victim as often as the others, in an order and at moments drawn."""
    draw = random.Random(f"{seed}/kills")  # noqa: S311 - repeatable
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(count)]
    draw.shuffle(victims)
    return [Plan(victim, round(LATEST * draw.random(), 3)) for victim in victims]


class Killer:
    """Kills once while its block runs, as soon as the moment has come and the victim is there.

    Attributes:
        at_s: when, in seconds from the begin of the block; None: the victim was never there.
    """

    def __init__(self, plan: Plan, stack: Target, times: Times) -> None:
        self.at_s: float | None = None
        self._plan, self._stack = plan, stack
        self._wait_s = plan.share * (times.job_s if plan.victim == JOB else times.up_s)
        self._client = connect()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._began = time.monotonic()

    def __enter__(self) -> "Killer":
        """Begin to wait for the moment."""
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        with closing(self._client):
            self._await_and_kill()

    def _await_and_kill(self) -> None:
        if self._plan.victim == JOB:
            while not self._job_runs():
                if self._over.wait(LOOK_S):
                    return
        if self._over.wait(self._wait_s):
            return
        while not self._kill():
            # A job runs once in an update.
            if self._plan.victim == JOB and not self._job_runs():
                return
            if self._over.wait(LOOK_S):
                return
        self.at_s = time.monotonic() - self._began

    def _kill(self) -> bool:
        """Kill the victim; False: it is not there, or is not seen to have ended."""
        victim = self._plan.victim
        if victim == ENGINE:
            return kill_engine(self._stack.stack)
        with suppress(DockerException, FaultError, LookupError):
            if victim == JOB:
                self._client.containers.get(self._job).kill()
            else:
                kind = "postgres" if victim == DATABASE else "mlflow"
                hit = next((c for c in self._stack.components if c.kind == kind), None)
                if hit is None:
                    return False
                # From inside, as a crash: after `docker kill` no policy starts it again.
                kill = ContainerKill(self._stack, hit)
                kill.inject()
                return ended(kill)
            return True
        return False

    def _job_runs(self) -> bool:
        with suppress(DockerException):
            return bool(self._client.containers.get(self._job).status == "running")
        return False

    @property
    def _job(self) -> str:
        return job_name(self._stack)


def ended(kill: ContainerKill) -> bool:
    """Whether Docker tells in time that the run of before is over."""
    deadline = time.monotonic() + PROOF_S
    while not kill.in_effect():
        if time.monotonic() > deadline:
            return False
        time.sleep(LOOK_S)
    return True


def job_name(stack: Target) -> str:
    """Return the name of the container of the schema job."""
    return Identity.physical_name(stack.stack, "schema-job")


def times(stack: Target, up_s: float) -> Times:
    """Return the times of the last upgrade, whose `up` took so many seconds."""
    with suppress(DockerException), closing(connect()) as client:
        state = client.containers.get(job_name(stack)).attrs["State"]
        return Times(up_s, lasted(state) or JOB_S)
    return Times(up_s, JOB_S)


def lasted(state: dict[str, str]) -> float | None:
    """Return how long a container ran by its `State`, in s; None: it has not ended."""
    began, end = (datetime.fromisoformat(state[key]) for key in ("StartedAt", "FinishedAt"))
    seconds = (end - began).total_seconds()
    return seconds if seconds > 0 else None


def kill_engine(stack: str) -> bool:
    """Kill the engine that is at work on a stack, and all of its process group; False: none is."""
    for lock in locks.held(stack):
        # It may end at any moment.
        with suppress(ProcessLookupError):
            if lock.alive and os.getpgid(lock.pid) == lock.pid:  # as `ui.run` starts one
                os.killpg(lock.pid, signal.SIGKILL)
                return True
    return False
