"""Makes everything ready that deploying and testing needs."""

import os
import sys
from collections.abc import Mapping, Sequence

from scripts.commands.setup import base_image, docker, engine, environment, images, plugins, state
from scripts.commands.setup.parts import side_by_side
from scripts.commands.setup.source import Source
from scripts.shared import ui, venv
from scripts.shared.status import Status


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
    present = engine.find(source)

    def report(part: str, line: str) -> None:
        if not quiet:
            ui.say(part, line)

    with side_by_side() as parts:
        # Each part waits for those whose results it asks for, and for no others.
        def make_python() -> None:
            report(venv.PART, venv.ensure(uv_ready.result()))

        def make_engine() -> engine.Engine:
            if not present:
                uv_ready.result()  # Go may have to be fetched by it.
            chosen = present or engine.ensure(source)
            report(engine.PART, chosen.why)
            return chosen

        def make_plugins() -> None:
            report(plugins.PART, plugins.ensure(engine_ready.result(), source))

        def make_base() -> None:
            docker_ready.result()
            report(base_image.PART, base_image.ensure(source))

        def make_images() -> None:
            base_ready.result(), python_ready.result()
            report(images.PART, images.build(stacks))

        def make_state() -> dict[str, str]:
            passphrase = state.ensure_passphrase()
            docker_ready.result(), plugins_ready.result()
            folder = engine_ready.result().folder
            values = environment.variables(environ, folder, plugins.bundled(), docker.host())
            report(state.PART, f"{state.ensure_stacks(values)}, {passphrase}")
            return values

        uv_ready = parts.start(venv.PART, venv.ensure_uv)
        docker_ready = parts.start(docker.PART, lambda: report(docker.PART, docker.ensure()))
        python_ready = parts.start(venv.PART, make_python)
        engine_ready = parts.start(engine.PART, make_engine)
        base_ready = parts.start(base_image.PART, make_base)
        plugins_ready = parts.start(plugins.PART, make_plugins)
        if stacks and not present:
            parts.start(images.PART, make_images)
        variables = parts.start(state.PART, make_state)
    state.ensure_filter()
    return variables.result()


def run_prepared(part: str, module: str, stacks: Sequence[str], *, quiet: bool = False) -> Status:
    """Prepare for some stacks, then become `python -m MODULE` with the same arguments.

    Returns:
        the exit status where that could not be.
    """
    ui.interrupt_on_termination()
    try:
        os.environ.update(prepare(Source.AUTO, os.environ, quiet=quiet, stacks=stacks))
        enter(module)
    except ui.SetupError as error:
        ui.say(part, f"could not run: {error}")
    except KeyboardInterrupt:
        ui.say(part, "interrupted")
    return Status.COULD_NOT_RUN


def enter(module: str) -> None:
    """Become `python -m MODULE` of .venv, with the same arguments."""
    os.execv(venv.PYTHON, [str(venv.PYTHON), "-m", module, *sys.argv[1:]])  # noqa: S606
