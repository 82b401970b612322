"""Changes of a stack that its launcher makes while a workload has it under load.

Only who deployed a stack upgrades it, and only the workload knows when its baseline is measured. So
they tell each other by files in a folder that both know: the workload that a change is due, the
launcher that it has begun, and that it is done or has failed. For the workload it is a fault like
others: what users notice of it is measured, and everything is read back.
"""

import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from infra.outputs import Component, Target
from workloads.faults.fault import GivenUpError, Injection

FOLDER = "WORKLOADS_HANDOVER"
"""Variable of the environment with the folder; not set: nobody else makes changes. A name that does
not begin as MLflow's own, of which a workload keeps none but those that it sets."""

BACKUP = "backup"
UPGRADE = "upgrade"

PATIENCE_S = 6 * 3600.0
"""Longest change: a migration of large tables takes its time."""


class Step(StrEnum):
    """What is told of a change; the name of its file ends so."""

    DUE = "due"
    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"


def tell(folder: Path, change: str, step: Step, text: str = "") -> None:
    """Tell a step of a change, with what there is to say of it."""
    draft = folder / f".{change}.{step}"
    draft.write_text(text)
    draft.replace(folder / f"{change}.{step}")


def told(folder: Path, change: str, step: Step) -> str | None:
    """Return what was said of a step; None: it was not told."""
    try:
        return (folder / f"{change}.{step}").read_text()
    except FileNotFoundError:
        return None


def folder() -> Path | None:
    """Return the folder of this process; None: no launcher makes changes."""
    return Path(os.environ[FOLDER]) if os.environ.get(FOLDER) else None


def why_not(_target: Target) -> str | None:
    """Return why no change can be made here; None: a launcher makes them."""
    return None if folder() else "it takes ./scripts/bench STACK --scenario upgrade"


class Handover(Injection):
    """A change that the launcher makes: due, begun, and done. Nothing heals it but its end."""

    patience_s = PATIENCE_S

    def __init__(self, change: str) -> None:
        self._change = change
        self._launcher = os.getppid()

    def inject(self) -> None:
        """Tell that it is due. Raises `GivenUpError` where nobody would make it."""
        tell(self._folder(), self._change, Step.DUE)

    def in_effect(self) -> bool:
        """Whether it has begun."""
        return told(self._folder(), self._change, Step.BEGUN) is not None

    def healed(self) -> bool:
        """Whether it is done; raises `GivenUpError` if it has failed or its launcher is gone."""
        where = self._folder()
        if (why := told(where, self._change, Step.FAILED)) is not None:
            raise GivenUpError(why)
        if told(where, self._change, Step.DONE) is not None:
            return True
        if os.getppid() != self._launcher:
            raise GivenUpError("the launcher that makes it has ended")
        return False

    @staticmethod
    def _folder() -> Path:
        if (known := folder()) is None:
            raise GivenUpError(f"{FOLDER} is not set")
        return known


def made_by_launcher(change: str) -> Callable[[Target, Component | None], Injection]:
    """Return what makes the injection of a change."""
    return lambda _target, _component: Handover(change)
