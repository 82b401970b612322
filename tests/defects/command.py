"""`python -m workloads` many times over: a process that has imported everything forks for each.

Importing takes 3 s, a fifth of a run. Reads lines of arguments (JSON) and answers each with the
exit status; what the command printed is in the file that the line names first.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from scripts.shared.project import ROOT


class Command(Protocol):
    """Runs the command line."""

    def __call__(self, arguments: list[str], output: Path, environment: dict[str, str]) -> int:
        """Return the exit status; `output` gets what is printed."""


@contextmanager
def command_line() -> Iterator[Command]:
    """The command line, ready to be run."""
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.defects.command"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert server.stdin
    assert server.stdout
    ask, answers = server.stdin, server.stdout

    def run(arguments: list[str], output: Path, environment: dict[str, str]) -> int:
        print(json.dumps([str(output), arguments, environment]), file=ask, flush=True)
        return int(answers.readline())

    try:
        yield run
    finally:
        os.killpg(server.pid, signal.SIGKILL)  # with what is still running, after Ctrl-C
        server.communicate()


def _child(output: str, arguments: list[str], environment: dict[str, str]) -> None:
    from workloads.commands.application import main

    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.environ.update(environment)
    status = 70
    try:
        status = main(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    import locust  # noqa: F401 - patches the standard library: before everything else

    import workloads.faults.preparation
    import workloads.runner.phases
    import workloads.users.artifact_files
    import workloads.users.team
    import workloads.users.trainer  # noqa: F401

    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if not pid:
            _child(*asked)
        _, ended = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(ended), flush=True)
