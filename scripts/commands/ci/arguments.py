"""The command line of `scripts/ci`; without packages, as it is read before they are there."""

import argparse
import re
from collections.abc import MutableMapping
from pathlib import Path

from scripts.shared import ui
from scripts.stack import files

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
"""What Docker, Kubernetes and every backend take as a part of a name."""


def read() -> argparse.Namespace | None:
    """Return the arguments; None where they are wrong, which is said."""
    known = files.names()
    parser = argparse.ArgumentParser(
        prog="scripts/ci",
        description="Preview STACK, deploy it, test it, remove it, and leave preview, report, "
        "result and figures in one folder. One that was deployed before is brought up to date, "
        "tested and kept. State is kept in this checkout, or in the backend of "
        "PULUMI_BACKEND_URL with the passphrase of PULUMI_CONFIG_PASSPHRASE or "
        "PULUMI_CONFIG_PASSPHRASE_FILE.",
        epilog="Exit status: 0 verdict good, 1 verdict bad, 2 could not run, 3 result invalid.",
    )
    parser.add_argument("stack", metavar="STACK", help=f"one of: {', '.join(known)}")
    parser.add_argument("--profile", choices=("quick", "full"), default="quick")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: results/ci-STACK")
    parser.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        help="call the stack NAME in the backend, and forget it there at the end: two jobs with "
        "one backend do not meet",
    )
    parser.add_argument("--preview-only", action="store_true", help="deploy nothing")
    parser.add_argument(
        "--remove",
        action="store_true",
        help="remove the stack also where it was deployed before, with its data",
    )
    options = parser.parse_args()
    if options.stack not in known:
        ui.say("ci", f"no stack {options.stack} in stacks/; there is: {', '.join(known) or 'none'}")
        return None
    if problem := wrong_name(options.name):
        ui.say("ci", problem)
        return None
    return options


def drop_empty(environ: MutableMapping[str, str]) -> None:
    """Take away Pulumi's variables that are empty: a CI secret that nobody set comes as one."""
    for name in [name for name, value in environ.items() if name.startswith("PULUMI_")]:
        if not environ[name]:
            del environ[name]


def wrong_name(name: str | None) -> str | None:
    """Return what is wrong with the name that a stack is to have; None if nothing is."""
    if name is None:
        return None
    if not NAME.fullmatch(name):
        return f"--as {name}: give up to 30 lower-case letters, digits and hyphens, as local-pr-7"
    if name in files.names():
        return f"--as {name}: there is a stack file of that name; give another name, or call that"
    return None
