"""A component stands still: its ports still accept, and nothing answers."""

import time
from typing import TYPE_CHECKING

from workloads.faults.containers import OnContainer

if TYPE_CHECKING:
    from docker.models.containers import Container

PATIENCE_S = 10
PAUSE_S = 0.1


class ContainerFreeze(OnContainer):
    """Pauses the container: the kernel keeps its connections, and it gets no processor time."""

    def inject(self) -> None:
        """Pause it."""
        pause(self.container)

    def in_effect(self) -> bool:
        """Whether Docker says that it is paused."""
        return bool(self.state()["Paused"])

    def heal(self) -> None:
        """Let it go on, if it is paused."""
        if self.in_effect():
            self.container.unpause()


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
