"""Faults of one container: killed, frozen, stopped, restarted, or a worker killed inside it."""

import time
from contextlib import suppress
from typing import TYPE_CHECKING

from workloads.faults.fault import FaultError
from workloads.faults.on_container import OnContainer, shell
from workloads.faults.processes import LIST, main_process, parse, worker_process

if TYPE_CHECKING:
    from docker.models.containers import Container

PATIENCE_S = 10
PAUSE_S = 0.1


class ContainerKill(OnContainer):
    """Kills the main process from inside; Docker's restart policy starts the container again."""

    def inject(self) -> None:
        """Send SIGKILL as the user that the process runs as."""
        main = main_process(parse(shell(self.container, LIST)))
        # The shell is in the same container, and may end with it before it has said so.
        with suppress(FaultError):
            shell(self.container, f"kill -KILL {main.pid}", user=main.user)

    def in_effect(self) -> bool:
        """Whether it ended, or even runs anew."""
        return self.restarted()

    def healed(self) -> bool:
        """Whether the policy brought it back, and it is ready."""
        return self.restarted() and super().healed()


class ContainerFreeze(OnContainer):
    """Pauses the container: its ports still accept, and nothing answers."""

    def inject(self) -> None:
        """Pause it."""
        pause(self.container)

    def in_effect(self) -> bool:
        """Whether Docker says that it is paused."""
        return bool(self.state()["Paused"])

    def heal(self) -> None:
        """Unpause it, if it is paused."""
        if self.in_effect():
            self.container.unpause()


class ContainerStop(OnContainer):
    """Stops the container with its own signal and grace period; healing starts it."""

    def inject(self) -> None:
        """Stop it; returns when it has ended."""
        self.container.stop()

    def in_effect(self) -> bool:
        """Whether it does not run."""
        return not self.state()["Running"]

    def heal(self) -> None:
        """Start it, if it does not run."""
        if not self.state()["Running"]:
            self.container.start()


class ContainerRestart(ContainerStop):
    """Stops the container in order and starts it at once; healing starts it if that failed."""

    def inject(self) -> None:
        """Restart it; returns when it was started."""
        self.container.restart()

    def in_effect(self) -> bool:
        """Whether another run of it has begun."""
        return self.restarted()


class ContainerWorkerKill(OnContainer):
    """Kills a worker; with one worker a replica ends with it, with more its supervisor replaces it.

    Process numbers are not given anew within the seconds that this takes.
    """

    victim = 0

    def inject(self) -> None:
        """Send SIGKILL to the youngest worker."""
        worker = worker_process(parse(shell(self.container, LIST)))
        self.victim = worker.pid
        # The last worker takes the container with it, and the shell before it has said so.
        with suppress(FaultError):
            shell(self.container, f"kill -KILL {worker.pid}", user=worker.user)

    def in_effect(self) -> bool:
        """Whether that process is gone."""
        return self.restarted() or self.victim not in self._pids()

    def _pids(self) -> set[int]:
        return {process.pid for process in parse(shell(self.container, LIST))}


def pause(container: "Container") -> None:
    """Pause a container; raises `APIError` if that cannot be done.

    While processes start in it, runc can give up on cgroup v1 (opencontainers/runc#2753). It lets
    the container go on then, and leaves it to its caller to try again.
    """
    from docker.errors import APIError

    deadline = time.monotonic() + PATIENCE_S
    while True:
        try:
            container.pause()
        except APIError as error:
            if "unable to freeze" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(PAUSE_S)
        else:
            return
