"""A stack in CI: preview, deploy, test, remove; the files of it in one folder."""

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from scripts.commands.bench import results, test_cluster
from scripts.commands.bench import run as benchmark
from scripts.commands.ci import arguments
from scripts.commands.setup import state
from scripts.shared import personal, ui
from scripts.shared.status import Status
from scripts.stack import files, snapshot, updates
from scripts.stack.checkout import Checkout, answered

PREVIEW = "preview.md"
MOST_CHARACTERS = 60_000
"""A comment on GitHub holds 65,536."""


def main() -> int:
    """Do what the command line says; return the exit status, which is the verdict's."""
    options = arguments.read()
    if options is None:
        return Status.COULD_NOT_RUN
    stack = options.name or options.stack
    out = options.out or results.RESULTS / f"ci-{stack}"
    bench_options = benchmark.Options(options.profile, remove=options.remove)
    ui.interrupt_on_termination()
    try:
        with (
            under_name(options.stack, options.name),
            test_cluster.running_for([stack]),
            created(stack),
            forgetting(options.name),
        ):
            preview(stack, out)
            return Status.GOOD if options.preview_only else test(stack, bench_options, out)
    except ui.SetupError as error:
        ui.say("ci", f"could not run: {error}")
    except KeyboardInterrupt:
        ui.say("ci", "interrupted")
    return Status.COULD_NOT_RUN


@contextlib.contextmanager
def under_name(stack: str, name: str | None) -> Iterator[None]:
    """Have a stack's file under another name, if one is given, while the block lasts."""
    if name is None:
        yield
        return
    config = files.path_of(name)
    shutil.copyfile(files.path_of(stack), config)
    state.drop_salt(config)
    try:
        yield
    finally:
        config.unlink(missing_ok=True)


@contextlib.contextmanager
def forgetting(name: str | None) -> Iterator[None]:
    """Remove a stack of that name, if one is given, from the backend at the end: if it is empty."""
    try:
        yield
    finally:
        if name is not None:
            _forget(name)


def _forget(name: str) -> None:
    try:
        if snapshot.read(name).empty:
            with answered(f"stack {name} cannot be forgotten"):
                Checkout().remove_stack(name, preserve_config=True)
            if not personal.has_backend():
                state.forget(name)
        else:
            ui.say(name, "stays in the backend, as it is deployed")
    except ui.SetupError as error:
        ui.say(name, str(error))


@contextlib.contextmanager
def created(stack: str) -> Iterator[None]:
    """Have the stack in the backend; in one of the person's own, setting up made none.

    The stack file of a checkout that was used before has the salt of another passphrase there.
    """
    if not personal.has_backend():
        state.ensure_stacks({})
        yield
        return
    state.drop_salt(files.path_of(stack))
    try:
        Checkout().create_stack(stack)
        yield
    finally:
        state.drop_salt(files.path_of(stack))


def preview(stack: str, out: Path) -> None:
    """Write down what `up` would do, as Markdown for a comment.

    Raises:
        ui.SetupError: the preview fails; what it said is in the file as well.
    """
    log = updates.log_of(stack, "preview")
    try:
        updates.preview(stack)
    finally:
        output = log.read_text(errors="replace").strip() if log.exists() else ""
        if len(output) > MOST_CHARACTERS:
            output = output[:MOST_CHARACTERS] + "\n…"
        out.mkdir(parents=True, exist_ok=True)
        (out / PREVIEW).write_text(f"### `pulumi preview` of {stack}\n\n```\n{output}\n```\n")
        ui.say(stack, f"preview: {out / PREVIEW}")


def test(stack: str, options: benchmark.Options, out: Path) -> Status:
    """Deploy the stack, test it, remove what was deployed; copy what the run left."""
    outcome = benchmark.bench(stack, options)
    if outcome.folder:
        shutil.copytree(outcome.folder, out, dirs_exist_ok=True)
        ui.say(stack, f"files: {out}")
    return outcome.status


if __name__ == "__main__":
    sys.exit(main())
