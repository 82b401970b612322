"""Nothing happens: what a run shows then is its own noise."""

from infra.outputs import Component, Target
from workloads.faults.fault import Injection


class Nothing(Injection):
    """Is in effect and healed at once."""

    def __init__(self, target: Target | None, component: Component | None) -> None:
        pass

    def inject(self) -> None:
        """Do nothing."""

    def in_effect(self) -> bool:
        """It is."""
        return True

    def healed(self) -> bool:
        """It is."""
        return True
