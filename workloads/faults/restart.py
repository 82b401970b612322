"""A component is restarted in order, as for new settings or a new release."""

from workloads.faults.containers import OnContainer


class ContainerRestart(OnContainer):
    """Stops the container in order and starts it again at once."""

    def inject(self) -> None:
        """Restart it; returns when it was started."""
        self.container.restart()

    def in_effect(self) -> bool:
        """Whether another run of it has begun."""
        return self.restarted()

    def heal(self) -> None:
        """Start it, if the restart ended halfway."""
        if not self.state()["Running"]:
            self.container.start()
