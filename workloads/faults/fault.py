"""What a fault is: something that is done to a deployed stack, seen to be in effect, and undone.

The steps are those of cockroach's `failureinjection`: inject, wait until it is in effect, heal,
wait until it is healed; `inject_and_heal` goes through them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infra.outputs import Component, Platform, Target


class FaultError(Exception):
    """A fault was not in effect, or could not be healed; the message says which and why."""


class GivenUpError(FaultError):
    """What is waited for will not come about; the message says why."""


class Injection(ABC):
    """One fault of one component, or of the network before the stack."""

    patience_s: float | None = None
    """Longest time until it is healed; None: as of any fault."""

    @abstractmethod
    def inject(self) -> None:
        """Begin the fault. Raises the platform's errors."""

    @abstractmethod
    def in_effect(self) -> bool:
        """Whether it is seen to have happened."""

    def heal(self) -> None:  # noqa: B027 - what comes back by itself needs nothing
        """End the fault, also one that was only half injected; nothing where it ends by itself."""

    @abstractmethod
    def healed(self) -> bool:
        """Whether the component is seen to work again."""


Make = Callable[[Target, Component | None], Injection]
"""Makes the injection for a stack and the component that it hits."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault, which hits one component of `component_kinds`."""

    name: str
    summary: str
    meaning: str
    """What it stands for in production."""
    component_kinds: tuple[str, ...]
    make: Mapping[Platform, Make]
    requires: Callable[[Target], str | None] = field(default=lambda _: None)
    """What a stack lacks for it; None: nothing."""
    outage_s: float | None = None
    """Objective for the outage where replicas can stand in for each other."""
    needs_proxy: bool = False
    """Whether it is done by a proxy before the stack, which is there from the start."""

    def unavailable(self, target: Target) -> str | None:
        """Why this stack cannot have it; None: it can."""
        if target.platform not in self.make:
            return f"not on {target.platform}"
        if self.component_kinds and not self.candidates(target):
            return f"the stack runs no {' or '.join(self.component_kinds)}"
        return self.requires(target)

    def candidates(self, target: Target) -> list[Component]:
        """Components of which it hits one, in the stack's order."""
        return [
            component for component in target.components if component.kind in self.component_kinds
        ]

    def outage_limit_s(self, target: Target) -> float | None:
        """Objective for the outage in s; None: no other component can stand in."""
        return self.outage_s if target.replicas > 1 else None
