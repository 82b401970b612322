"""A component stands still: its ports still accept, and nothing answers."""

from workloads.faults.containers import OnContainer


class ContainerFreeze(OnContainer):
    """Pauses the container: the kernel keeps its connections, and it gets no processor time."""

    def inject(self) -> None:
        """Pause it."""
        self.container.pause()

    def in_effect(self) -> bool:
        """Whether Docker says that it is paused."""
        return bool(self.state()["Paused"])

    def heal(self) -> None:
        """Let it go on, if it is paused."""
        if self.in_effect():
            self.container.unpause()
