"""A stack in CI: preview, deploy, test, remove; the files of it in one folder."""

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from scripts import benchmark, deployed, deploying
from scripts.prepare import state, ui
from scripts.prepare.__main__ import prepare
from scripts.prepare.environment import own_backend
from scripts.prepare.pins import LOGS, ROOT
from scripts.prepare.source import Source
from scripts.status import Status

PREVIEW = "preview.md"
MOST_CHARACTERS = 60_000
"""A comment on GitHub holds 65,536."""

NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?")
"""What Docker, Kubernetes and every backend take as a part of a name."""


def main() -> int:
    """Read the command line and do it; return the exit status, which is the verdict's."""
    known = state.presets()
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
        return Status.COULD_NOT_RUN
    stack = options.name or options.stack
    if problem := wrong_name(options.name):
        ui.say("ci", problem)
        return Status.COULD_NOT_RUN
    out = options.out or benchmark.RESULTS / f"ci-{stack}"
    wanted = benchmark.Wanted(options.profile, remove=options.remove)
    drop_empty(os.environ)
    ui.interrupt_on_termination()
    try:
        with called(options.stack, options.name):
            os.environ.update(prepare(Source.AUTO, os.environ, stacks=[stack]))
            with (
                deploying.test_cluster([stack], keep=False),
                selected(stack),
                forgotten(options.name),
            ):
                preview(stack, out)
                return Status.GOOD if options.preview_only else test(stack, wanted, out)
    except ui.SetupError as error:
        ui.say("ci", f"could not run: {error}")
    except KeyboardInterrupt:
        ui.say("ci", "interrupted")
    return Status.COULD_NOT_RUN


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
    if name in state.presets():
        return f"--as {name}: there is a stack file of that name; give another name, or call that"
    return None


@contextlib.contextmanager
def called(stack: str, name: str | None) -> Iterator[None]:
    """Have a stack's file under another name, if one is given, while the block lasts."""
    if name is None:
        yield
        return
    config = state.config_of(name)
    shutil.copyfile(state.config_of(stack), config)
    state.drop_salt(config)
    try:
        yield
    finally:
        config.unlink(missing_ok=True)


@contextlib.contextmanager
def forgotten(name: str | None) -> Iterator[None]:
    """Remove a stack of that name, if one is given, from the backend at the end: if it is empty."""
    try:
        yield
    finally:
        if name is not None:
            _forget(name)


def _forget(name: str) -> None:
    try:
        if deployed.read_state(name).empty:
            argv = ["pulumi", "stack", "rm", "--yes", "--preserve-config", "--stack", name]
            ui.run(name, "pulumi stack rm", argv, log=LOGS / f"rm-{name}.log", cwd=ROOT)
            if not own_backend(os.environ):
                state.forget(name)
        else:
            ui.say(name, "stays in the backend, as it is deployed")
    except ui.SetupError as error:
        ui.say(name, str(error))


@contextlib.contextmanager
def selected(stack: str) -> Iterator[None]:
    """Have the stack in a backend of the person's own, where setting up made none.

    The stack file of a checkout that was used before has the salt of that passphrase.
    """
    if not own_backend(os.environ):
        yield
        return
    state.drop_salt(state.config_of(stack))
    argv = ["pulumi", "stack", "select", "--create", "--non-interactive", "--stack", stack]
    try:
        ui.run(stack, "pulumi stack select", argv, log=LOGS / f"select-{stack}.log", cwd=ROOT)
        yield
    finally:
        state.drop_salt(state.config_of(stack))


def preview(stack: str, out: Path) -> None:
    """Write down what `up` would do, as Markdown for a comment.

    Raises:
        ui.SetupError: the preview fails; what it said is in the file as well.
    """
    argv = ["pulumi", "preview", "--non-interactive", "--color=never", "--stack", stack]
    done = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    said = (done.stdout + done.stderr).strip()
    if len(said) > MOST_CHARACTERS:
        said = said[:MOST_CHARACTERS] + "\n…"
    out.mkdir(parents=True, exist_ok=True)
    (out / PREVIEW).write_text(f"### `pulumi preview` of {stack}\n\n```\n{said}\n```\n")
    ui.say(stack, f"preview: {out / PREVIEW}")
    if done.returncode:
        last = said.splitlines()[-1] if said else f"status {done.returncode}"
        raise ui.SetupError(f"pulumi preview of {stack} failed: {last}")


def test(stack: str, wanted: benchmark.Wanted, out: Path) -> Status:
    """Deploy the stack, test it, remove what was deployed; copy what the run left."""
    found = benchmark.bench(stack, wanted)
    if found.folder:
        shutil.copytree(found.folder, out, dirs_exist_ok=True)
        ui.say(stack, f"files: {out}")
    return found.status


if __name__ == "__main__":
    sys.exit(main())
