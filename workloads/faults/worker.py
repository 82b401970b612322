"""A process that serves requests is killed inside a replica, as the kernel does out of memory."""

from contextlib import suppress

from workloads.faults.containers import OnContainer, shell
from workloads.faults.fault import FaultError
from workloads.faults.processes import LIST, parse, worker_process


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
        return {one.pid for one in parse(shell(self.container, LIST))}
