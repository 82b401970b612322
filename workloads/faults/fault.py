"""What a fault is: something that is done to a deployed stack, seen to be in effect, and undone.

The steps are those of cockroach's `failureinjection`: inject, wait until it is in effect, heal,
wait until it is healed; `strike` goes through them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from infra.outputs import Component, Platform, Target


class FaultError(Exception):
    """A fault did not take, or could not be healed; the message says which and why."""


class Injection(ABC):
    """One fault on one component, or on the way to the stack."""

    @abstractmethod
    def inject(self) -> None:
        """Do it. Raises the platform's errors."""

    @abstractmethod
    def in_effect(self) -> bool:
        """Whether it is seen to have happened."""

    def heal(self) -> None:  # noqa: B027 - what comes back by itself needs nothing
        """Undo it, also where it was only half done; nothing where the stack mends itself."""

    @abstractmethod
    def healed(self) -> bool:
        """Whether what was struck is seen to be as it was before."""


Make = Callable[[Target, Component | None], Injection]
"""Makes the injection for a stack and the component that is struck."""


@dataclass(frozen=True)
class Fault:
    """A kind of fault. `strikes` are the kinds of components of which one is struck."""

    name: str
    summary: str
    meaning: str
    """What it stands for in production."""
    strikes: tuple[str, ...]
    make: Mapping[Platform, Make]
    requires: Callable[[Target], str | None] = field(default=lambda _: None)
    """Says what a stack lacks for it; None: nothing."""
    gap_s: float | None = None
    """Longest time without an answer where replicas can stand in for each other."""
    on_the_way: bool = False
    """Whether it strikes the way to the stack, where a proxy has to stand from the start."""

    def unavailable(self, target: Target) -> str | None:
        """Why this stack cannot have it; None: it can."""
        if target.platform not in self.make:
            return f"not on {target.platform}"
        if self.strikes and not self.struck(target):
            return f"the stack runs no {' or '.join(self.strikes)}"
        return self.requires(target)

    def struck(self, target: Target) -> list[Component]:
        """Components of which one is struck, in the stack's order."""
        return [one for one in target.components if one.kind in self.strikes]

    def longest_gap_s(self, target: Target) -> float | None:
        """Objective for the longest gap in s; None: nothing stands in for what is struck."""
        return self.gap_s if target.replicas > 1 else None


def several_replicas(target: Target) -> str | None:
    """For faults that leave nobody to serve where there is one replica."""
    return None if target.replicas > 1 else "the stack has one replica"
