"""`scripts/setup`: prepares this checkout."""

import argparse
import os
import sys

from scripts.commands.setup import environment
from scripts.commands.setup.prepare import prepare
from scripts.commands.setup.source import Source
from scripts.shared import ui


def main() -> int:
    """Run the set-up; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/setup",
        description="Prepare this checkout: Python packages, Pulumi engine and plugins, Docker, "
        "base image, state. What is there is kept; a second run takes a moment.",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--offline",
        dest="source",
        action="store_const",
        const=Source.OFFLINE,
        help="build the engine from Go modules and use the project's own plugins",
    )
    which.add_argument(
        "--online",
        dest="source",
        action="store_const",
        const=Source.ONLINE,
        help="take official releases only; fail where they are not reached",
    )
    parser.add_argument(
        "--shell",
        metavar="PATH",
        help="for scripts/activate: say only what is being done, and print the variables to set "
        "in a shell whose PATH this is",
    )
    parser.set_defaults(source=Source.AUTO)
    options = parser.parse_args()

    def work() -> None:
        # Not this process's PATH: a Python version manager may have put its folders there.
        environ = {**os.environ, "PATH": options.shell or os.environ.get("PATH", os.defpath)}
        values = prepare(options.source, environ, quiet=bool(options.shell))
        if options.shell:
            sys.stdout.write(environment.exports(values))

    return ui.report("setup", work)


if __name__ == "__main__":
    sys.exit(main())
