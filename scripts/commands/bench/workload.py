"""A workload that a script runs, its results in a folder that the script knows."""

import json
from collections.abc import Mapping
from pathlib import Path

from scripts.shared import ui
from scripts.shared.project import ROOT
from scripts.shared.status import Status, status_of
from scripts.shared.venv import PYTHON

GRACE_S = 60.0
"""Time for an interrupted workload to heal and to write down what it has."""

LOG = "run.log"
RESULT = "result.json"


def run(
    stack: str,
    name: str,
    arguments: list[str],
    folder: Path,
    *,
    shown: bool = False,
    python: Path = PYTHON,
    release: str | None = None,
    env: Mapping[str, str] | None = None,
) -> Status:
    """Run `python -m workloads run` on a stack, results in `folder`; return its status.

    What it prints is in a log there, or on the terminal if it is `shown`. `python` has the client,
    `env` is added to the environment.
    Raises `ui.SetupError` if the server turns out to be of another `release` than this one.
    """
    argv = [str(python), "-m", "workloads", "run", "--stack", stack, *arguments]
    results = folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder
    try:
        ui.run(
            stack,
            name,
            [*argv, "--results", str(results)],
            log=None if shown else folder / LOG,
            env=env,
            cwd=ROOT,
            grace_s=GRACE_S,
            detail=ui.last_line,
        )
    except ui.CommandError as error:
        if error.status is None or not (folder / RESULT).exists():  # 1 is also a traceback's
            return Status.COULD_NOT_RUN
        status = status_of(error.status)
    else:
        status = Status.GOOD
    if problem := other_release(folder, release):
        raise ui.SetupError(problem)
    return status


def other_release(folder: Path, wanted: str | None) -> str | None:
    """Say that the server, asked by the run in `folder`, has another release than the `wanted`.

    None where nothing is known, or where none was asked for.
    """
    try:
        told = json.loads((folder / RESULT).read_text())["plan"]["environment"]["mlflow server"]
    except (OSError, ValueError, KeyError):
        return None
    if wanted is None or told == wanted:
        return None
    return f"the server has mlflow {told}, not {wanted}: the result is none of that release"
