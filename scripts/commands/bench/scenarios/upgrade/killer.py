"""One kill at a moment of an update: of a container of the stack, or of the engine itself."""

import os
import random
import signal
import threading
import time
from contextlib import closing, suppress
from dataclasses import dataclass

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


@dataclass(frozen=True)
class Plan:
    """What is killed, and at which share of the time that it is there to be killed."""

    victim: str
    share: float


def plans(count: int, seed: int) -> list[Plan]:
    """Return so many: every victim as often as the others, in an order and at moments drawn."""
    draw = random.Random(f"{seed}/kills")  # noqa: S311 - repeatable
    victims = [VICTIMS[number % len(VICTIMS)] for number in range(count)]
    draw.shuffle(victims)
    return [Plan(victim, round(draw.random(), 3)) for victim in victims]


class Killer:
    """Kills once while its block runs, as soon as the moment has come and the victim is there.

    Attributes:
        at_s: when, in seconds from the begin of the block; None: the victim was never there.
    """

    def __init__(self, plan: Plan, stack: Target, up_s: float, job_s: float) -> None:
        self.at_s: float | None = None
        self._plan, self._stack = plan, stack
        self._wait_s = plan.share * (job_s if plan.victim == JOB else up_s)
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
            if self._over.wait(LOOK_S):
                return
        self.at_s = time.monotonic() - self._began

    def _kill(self) -> bool:
        """Kill the victim; False: it is not there."""
        victim = self._plan.victim
        if victim == ENGINE:
            return kill_engine(self._stack.stack)
        with suppress(DockerException, FaultError, LookupError):
            if victim == JOB:
                self._client.containers.get(self._job).kill()
            else:
                kind = "postgres" if victim == DATABASE else "mlflow"
                hit = next(c for c in self._stack.components if c.kind == kind)
                # From inside, as a crash: after `docker kill` no policy starts it again.
                ContainerKill(self._stack, hit).inject()
            return True
        return False

    def _job_runs(self) -> bool:
        with suppress(DockerException):
            return bool(self._client.containers.get(self._job).status == "running")
        return False

    @property
    def _job(self) -> str:
        return Identity.physical_name(self._stack.stack, "schema-job")


def kill_engine(stack: str) -> bool:
    """Kill the engine that is at work on a stack, and all of its process group; False: none is."""
    for lock in locks.held(stack):
        if lock.alive and os.getpgid(lock.pid) == lock.pid:  # as `ui.run` starts one
            with suppress(ProcessLookupError):
                os.killpg(lock.pid, signal.SIGKILL)
                return True
    return False
