"""A component is stopped in order and started again later, as when its machine is maintained."""

from workloads.faults.containers import OnContainer


class ContainerStop(OnContainer):
    """Stops the container with its own signal and time to finish; healing starts it."""

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
