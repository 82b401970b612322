"""A stack in CI: preview, deploy, test, remove; the files of it in one folder."""

import argparse
import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, MutableMapping
from pathlib import Path

from scripts import benchmark, deploying
from scripts.prepare import state, ui
from scripts.prepare.__main__ import prepare
from scripts.prepare.environment import own_backend
from scripts.prepare.pins import LOGS, ROOT
from scripts.prepare.source import Source
from scripts.status import Status

PREVIEW = "preview.md"
MOST_CHARACTERS = 60_000
"""A comment on GitHub holds 65,536."""


def main() -> int:
    """Read the command line and do it; return the exit status, which is the verdict's."""
    known = state.presets()
    parser = argparse.ArgumentParser(
        prog="scripts/ci",
        description="Preview STACK, deploy it, test it, remove it, and leave preview, report, "
        "result and figures in one folder. State is kept in this checkout, or in the backend of "
        "PULUMI_BACKEND_URL with the passphrase of PULUMI_CONFIG_PASSPHRASE or "
        "PULUMI_CONFIG_PASSPHRASE_FILE.",
        epilog="Exit status: 0 verdict good, 1 verdict bad, 2 could not run, 3 result invalid.",
    )
    parser.add_argument("stack", metavar="STACK", help=f"one of: {', '.join(known)}")
    parser.add_argument("--profile", choices=("quick", "full"), default="quick")
    parser.add_argument("--out", type=Path, metavar="DIR", help="default: results/ci-STACK")
    parser.add_argument("--preview-only", action="store_true", help="deploy nothing")
    options = parser.parse_args()
    if options.stack not in known:
        ui.say("ci", f"no stack {options.stack} in stacks/; there is: {', '.join(known) or 'none'}")
        return Status.COULD_NOT_RUN
    out = options.out or benchmark.RESULTS / f"ci-{options.stack}"
    drop_empty(os.environ)
    ui.interrupt_on_termination()
    try:
        os.environ.update(prepare(Source.AUTO, os.environ))
        with deploying.test_cluster([options.stack], keep=False), selected(options.stack):
            preview(options.stack, out)
            if options.preview_only:
                return Status.GOOD
            return test(options.stack, options.profile, out)
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


def test(stack: str, profile: str, out: Path) -> Status:
    """Deploy, test and remove the stack; copy what the run left."""
    before = benchmark.latest()
    status = benchmark.bench(stack, profile, keep=False)
    folder = benchmark.latest()
    if folder and folder != before:
        shutil.copytree(folder, out, dirs_exist_ok=True)
        ui.say(stack, f"files: {out}")
    return status


if __name__ == "__main__":
    sys.exit(main())
