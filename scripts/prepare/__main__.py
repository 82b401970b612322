"""Prepare this checkout: `scripts/setup [--offline | --online]`."""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from scripts.prepare import (
    base_image,
    docker,
    engine,
    environment,
    images,
    plugins,
    state,
    ui,
    venv,
)
from scripts.prepare.parts import side_by_side
from scripts.prepare.source import Source


def prepare(
    source: Source,
    environ: Mapping[str, str],
    quiet: bool = False,
    stacks: Sequence[str] = (),
) -> dict[str, str]:
    """Make everything ready that deploying and testing needs; do only what is missing.

    Args:
        source: where the engine, its plugins and the base image may come from.
        environ: the environment to start from.
        quiet: say only what is being done.
        stacks: what is deployed next: while the engine is compiled, their images are built.

    Returns:
        the variables to set on top of `environ`.
    """
    state.ensure_folder()
    there = engine.find(source)

    def tell(part: str, line: str) -> None:
        if not quiet:
            ui.say(part, line)

    with side_by_side() as parts:
        # Each part waits for those whose results it asks for, and for no others.
        def make_python() -> None:
            tell(venv.PART, venv.ensure(uv.result()))

        def make_engine() -> engine.Engine:
            if not there:
                uv.result()  # Go may have to be fetched by it.
            taken = there or engine.ensure(source)
            tell(engine.PART, taken.why)
            return taken

        def make_plugins() -> None:
            tell(plugins.PART, plugins.ensure(taken.result(), source))

        def make_base() -> None:
            daemon.result()
            tell(base_image.PART, base_image.ensure(source))

        def make_images() -> None:
            base.result(), python.result()
            tell(images.PART, images.build(stacks))

        def make_state() -> dict[str, str]:
            passphrase = state.ensure_passphrase()
            daemon.result(), installed.result()
            folder = taken.result().folder
            values = environment.variables(environ, folder, plugins.bundled(), docker.host())
            tell(state.PART, f"{state.ensure_stacks(values)}, {passphrase}")
            return values

        uv = parts.start(venv.PART, venv.ensure_uv)
        daemon = parts.start(docker.PART, lambda: tell(docker.PART, docker.ensure()))
        python = parts.start(venv.PART, make_python)
        taken = parts.start(engine.PART, make_engine)
        base = parts.start(base_image.PART, make_base)
        installed = parts.start(plugins.PART, make_plugins)
        if stacks and not there:
            parts.start(images.PART, make_images)
        ready = parts.start(state.PART, make_state)
    state.ensure_filter()
    return ready.result()


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
