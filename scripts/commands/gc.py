"""`scripts/gc`: removes for good what was deleted from a stack, while it serves.

In MLflow, deleted runs, experiments and logged models can be restored: their rows and artifacts
stay. `mlflow gc` removes them. Here it runs once within the stack, in a container or pod of its own
that is as a replica is, and leaves nothing behind of what it removes.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial

from pydantic import BaseModel, ConfigDict, ValidationError
from rich.markup import escape
from rich.table import Table

from infra.outputs import Target
from scripts.archive import RefusedError, command
from scripts.archive.host import Host, host_of
from workloads.report.terminal import console

PROGRAM = "garbage-collection"
TAKEN_OVER = {"--backend-store-uri": "--database-uri", "--artifacts-destination": None}
"""Options of `mlflow server`, and what they are called here."""

AGE = re.compile(r"(?=\d)(\d+(\.\d+)?d)?(\d+(\.\d+)?h)?(\d+(\.\d+)?m)?(\d+(\.\d+)?s)?")


class Content(BaseModel):
    """What was removed from the artifact store."""

    model_config = ConfigDict(extra="forbid")

    objects: int
    size: int
    uploads: int
    folders: int


class Removed(BaseModel):
    """What the program in the image says: see its `collection.Removed`."""

    model_config = ConfigDict(extra="forbid")

    experiments: int
    runs: int
    logged_models: int
    traces: int
    other_rows: int
    content: Content
    notes: list[str]


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/gc",
        description="Remove for good what was deleted from a running stack: runs, experiments and "
        "logged models, with their artifacts.",
        epilog="Exit status: 0 done, 2 refused or failed. Whatever is not removed then, the next "
        "run removes.",
    )
    parser.add_argument("stack", metavar="STACK", help="name of a deployed stack, as local")
    parser.add_argument(
        "--older-than",
        metavar="AGE",
        type=_age,
        help="only what was deleted so long ago, as 30d or 1d12h (default: all)",
    )
    parser.add_argument(
        "--jobs",
        action="store_true",
        help="also the records of MLflow's jobs, as mlflow gc --jobs has it",
    )
    parser.add_argument(
        "--dry-run", action="store_true", help="remove nothing, and say what would be removed"
    )
    options = parser.parse_args(arguments)
    given = [
        *([f"--older-than={options.older_than}"] if options.older_than else []),
        *(["--jobs"] if options.jobs else []),
        *(["--dry-run"] if options.dry_run else []),
    ]
    return command.run("gc", options.stack, partial(_collect, given=given, dry=options.dry_run))


def _age(value: str) -> str:
    if not AGE.fullmatch(value):
        raise argparse.ArgumentTypeError(f"{value!r}: give days, hours, minutes as 30d or 1d12h")
    return value


def _collect(target: Target, *, given: Sequence[str], dry: bool) -> str:
    removed = collect(target, host_of(target), given)
    shown = console()
    shown.print(table(removed, dry=dry))
    for note in removed.notes:
        shown.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
    if dry:
        return f"nothing was removed from {target.stack}: a dry run"
    return f"{target.stack} has nothing more of it" if _is_any(removed) else "nothing to remove"


def collect(target: Target, host: Host, given: Sequence[str]) -> Removed:
    """Run the program with these options in the stack; return what it removed.

    Raises `RefusedError` where it failed, with its own words.
    """
    replica = next(c for c in target.components if c.kind == "mlflow")
    try:
        said = host.alone("gc", replica, as_server(given))
    except RefusedError as error:
        raise RefusedError(str(error).rpartition(f"{PROGRAM}: failed: ")[2]) from None
    lines = [line for line in said.splitlines() if line.startswith("{")]
    try:
        return Removed.model_validate_json(lines[-1] if lines else "")
    except ValidationError:
        raise RefusedError(
            "the stack's image does not say what was removed: bring the stack up to date, pulumi "
            f"up -s {target.stack}"
        ) from None


def as_server(given: Sequence[str]) -> Callable[[Sequence[str]], list[str]]:
    """Return what makes the program's command of that of a server, whose stores it takes."""

    def command_of(server: Sequence[str]) -> list[str]:
        stores = []
        for argument in server:
            option, _, value = argument.partition("=")
            if option in TAKEN_OVER:
                stores.append(f"{TAKEN_OVER[option] or option}={value}")
        return [PROGRAM, *stores, *given]

    return command_of


def table(removed: Removed, *, dry: bool) -> Table:
    """Return what was removed, or would be, for a person."""
    content = removed.content
    rows = {
        "experiments": removed.experiments,
        "runs": removed.runs,
        "logged models": removed.logged_models,
        "traces": removed.traces,
        "other rows that named them": removed.other_rows,
        "artifacts": content.objects,
        "MiB of artifacts": f"{content.size / 2**20:.1f}",
        "unfinished uploads": content.uploads,
        "empty folders": content.folders,
    }
    shown = Table()
    shown.add_column("what")
    shown.add_column("would be removed" if dry else "removed", justify="right")
    for name, figure in rows.items():
        shown.add_row(name, str(figure))
    return shown


def _is_any(removed: Removed) -> bool:
    figures = removed.model_dump(exclude={"notes"})
    return any((*figures.pop("content").values(), *figures.values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
