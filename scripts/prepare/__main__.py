"""Prepare this checkout: `scripts/setup [--offline | --online]`."""

import argparse
import os
import sys
from collections.abc import Mapping

from scripts.prepare import base_image, docker, engine, environment, plugins, state, ui, venv
from scripts.prepare.source import Source


def prepare(source: Source, environ: Mapping[str, str], quiet: bool = False) -> dict[str, str]:
    """Make everything ready that deploying and testing needs; do only what is missing.

    Returns:
        the variables to set on top of `environ`.
    """

    def tell(part: str, line: str) -> None:
        if not quiet:
            ui.say(part, line)

    state.ensure_folder()
    tell(venv.PART, venv.ensure())
    taken = engine.ensure(source)
    tell(engine.PART, taken.why)
    tell(plugins.PART, plugins.ensure(taken, source))
    tell(docker.PART, docker.ensure())
    tell(base_image.PART, base_image.ensure(source))
    passphrase = state.ensure_passphrase()
    values = environment.variables(environ, taken.folder, plugins.bundled(), docker.host())
    tell(state.PART, f"{state.ensure_stacks(values)}, {passphrase}")
    state.ensure_filter()
    return values


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
