"""A component's process is killed: no goodbye, no flush, connections reset."""

from contextlib import suppress

from infra.outputs import Component, Target
from workloads.faults.containers import OnContainer, shell
from workloads.faults.fault import FaultError
from workloads.faults.processes import LIST, main_process, parse


class ContainerKill(OnContainer):
    """Kills the main process, from inside; Docker's restart policy starts the container again."""

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


def container_kill(target: Target, component: Component | None) -> ContainerKill:
    """Make the injection."""
    return ContainerKill(target, component)
