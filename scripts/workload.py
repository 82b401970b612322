"""A workload that a script runs, with its output in a log beside its results."""

from pathlib import Path

from scripts.prepare import ui
from scripts.prepare.pins import ROOT, VENV
from scripts.status import Status, status_of

PATIENCE_S = 60.0
"""Time for an interrupted workload to heal and to write down what it has."""

LOG = "run.log"


def run(stack: str, name: str, arguments: list[str], folder: Path) -> Status:
    """Run `python -m workloads run` on a stack, results in `folder`; return its status."""
    argv = [f"{VENV}/bin/python", "-m", "workloads", "run", "--stack", stack, *arguments]
    shown = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    try:
        ui.run(
            stack,
            name,
            [*argv, "--results", str(shown)],
            log=folder / LOG,
            cwd=ROOT,
            patience=PATIENCE_S,
            detail=ui.last_line,
        )
    except ui.CommandError as error:
        return Status.COULD_NOT_RUN if error.status is None else status_of(error.status)
    return Status.GOOD
