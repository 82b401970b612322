"""The open load of `resilience` in a process of its own; it goes on while a stack is changed."""

import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

from infra.specification.exposure import is_on
from scripts.commands.bench import workload
from scripts.commands.setup.parts import side_by_side
from scripts.shared import ui
from scripts.shared.status import Status
from scripts.stack import files
from workloads.faults import handover
from workloads.faults.handover import Step

LOOK_S = 0.1
HOLD_S = "0.1"
"""A change is over when it is done: nothing is held in effect."""

PATIENCE_S = "90"
"""Longest load after a change in the quick profile: servers that are all new take their time, and
so do clients that have waited longer each time before they try again."""


@dataclass(frozen=True)
class Change:
    """What is done to the stack under load: its name among the faults, and the doing.

    `work` raises `SetupError` where it fails.
    """

    name: str
    work: Callable[[], None]


def run(stack: str, profile: str, folder: Path, changes: Sequence[Change]) -> Status:
    """Put the stack under load, make each change when it is due, and return the verdict.

    Raises `SetupError` if the load ended before, or could not run.
    """
    names = ",".join(change.name for change in changes)
    arguments = ["--scenario", "resilience", "--profile", profile, "--fault", names, "--once"]
    arguments += ["--set", f"fault_s={HOLD_S}"]
    if profile == "quick":
        arguments += ["--set", f"patience_s={PATIENCE_S}"]
    if is_on((files.config(stack).get("kubernetes") or {}).get("load_inside")):
        arguments.append("--outside")
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as scratch:
        between = Path(scratch)
        with side_by_side() as parts:
            load = parts.start(
                "load",
                lambda: workload.run(
                    stack, "load", arguments, folder, env={handover.FOLDER: scratch}
                ),
            )
            for change in changes:
                if not _due(between, change.name, load):
                    break
                _make(between, change)
        return load.result()


def _due(folder: Path, name: str, load: Future[Status]) -> bool:
    """Wait until a change is due; False: the load has ended before."""
    while handover.told(folder, name, Step.DUE) is None:
        if load.done():
            return False
        time.sleep(LOOK_S)
    return True


def _make(folder: Path, change: Change) -> None:
    """Make a change, and tell how it ended; the load goes on whatever becomes of it."""
    handover.tell(folder, change.name, Step.BEGUN)
    try:
        change.work()
    except ui.SetupError as error:
        ui.say(change.name, str(error))
        handover.tell(folder, change.name, Step.FAILED, str(error))
    else:
        handover.tell(folder, change.name, Step.DONE)
