"""What is looked at of a deployed stack: its schema, its indexes, and what was written to it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from infra.outputs import Target
from scripts.archive import RefusedError
from scripts.archive.database import Database
from scripts.archive.host import host_of
from scripts.shared import ui
from scripts.shared.project import ROOT
from scripts.shared.ui import SetupError
from scripts.shared.venv import PYTHON
from scripts.stack import indexes
from workloads import CannotRunError
from workloads.target import target as stacks

GRACE_S = 60.0

_JOB = re.compile(r"schema-job: (?P<action>\w+) the schema at \S+ \S+(?: in (?P<s>[\d.]+) s)?")


@dataclass(frozen=True)
class Job:
    """What the schema job did: `created`, `upgraded`, `verified`; its seconds; its last line."""

    action: str
    seconds: float | None
    line: str


def target(stack: str) -> Target:
    """Return the outputs of a deployed stack; raises `SetupError`."""
    try:
        found = stacks.load(stack).target
    except CannotRunError as error:
        raise SetupError(str(error)) from None
    assert found  # a stack that was loaded has one
    return found


def job(stack: Target) -> Job:
    """Return what the stack's last schema job did, by its log."""
    try:
        log = host_of(stack).schema_job_log()
    except RefusedError as error:
        return Job("unknown", None, str(error))
    return read_job(log)


def read_job(log: str) -> Job:
    """Read a schema job's log."""
    lines = log.strip().splitlines() or ["it printed nothing"]
    found = next((match for line in lines if (match := _JOB.match(line))), None)
    if found is None:
        return Job("unknown", None, lines[-1])
    return Job(found["action"], float(found["s"]) if found["s"] else None, found.string)


def revision(stack: Target) -> str:
    """Return the revision of the schema; raises `SetupError` where it cannot be asked."""
    try:
        return Database(stack, host_of(stack)).revision()
    except RefusedError as error:
        raise SetupError(str(error)) from None


def wrong_schema(stack: Target, release: str, head: str) -> list[str]:
    """Return how the schema is not that of a release, whose head this is.

    Raises `SetupError` where it cannot be asked.
    """
    found = revision(stack)
    return [] if found == head else [f"the schema is at {found}, not at {head} as of {release}"]


def missing_indexes(stack: Target, release: str) -> tuple[int, list[str]] | str:
    """Return how many indexes a release makes, and those that are not there; or why not looked.

    Raises `SetupError` where the last schema job was that of another release.
    """
    wanted = indexes.expected(release)
    if wanted is None:
        return f"the indexes of {release} are not known here"
    try:
        written, *present = Database(stack, host_of(stack)).ask(indexes.QUERY).splitlines()
    except RefusedError as error:
        return str(error)
    if written != release:
        raise SetupError(f"the schema job of {written} was the last, not that of {release}")
    return len(wanted), indexes.missing(wanted, present)


def audit(stack: str, run: Path, log: Path, until: str | None = None) -> tuple[bool, str]:
    """Look for all that a run wrote; return whether it is there, and the last line about it."""
    argv: list[str | Path] = [PYTHON, "-m", "workloads", "audit", run, "--stack", stack]
    if until:
        argv += ["--until", until]
    return _tried(stack, f"audit of {run.name}", argv, log)


def command(stack: str, name: str, module: str, arguments: Sequence[str | Path], log: Path) -> str:
    """Run a command of this project; return its last line. Raises `SetupError` if it fails."""
    argv = [PYTHON, "-m", module, *arguments]
    ui.run(stack, name, argv, log=log, cwd=ROOT, grace_s=GRACE_S, detail=ui.last_line)
    return ui.last_line(log)


def _tried(stack: str, name: str, argv: Sequence[str | Path], log: Path) -> tuple[bool, str]:
    try:
        ui.run(stack, name, argv, log=log, cwd=ROOT, grace_s=GRACE_S, detail=ui.last_line)
    except ui.CommandError as error:
        return False, ui.last_line(log) or str(error)
    return True, ui.last_line(log)
