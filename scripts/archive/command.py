"""What the command lines of `scripts/backup`, `scripts/restore` and `scripts/gc` have in common."""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import requests

from infra.outputs import Target
from scripts.archive import RefusedError
from workloads import CannotRunError, error_summary
from workloads.target import access
from workloads.target import target as stacks

FAILED = 2


def run(name: str, stack: str, work: Callable[[Target], str], path: Path | None = None) -> int:
    """Do the work of a command on a deployed stack; return the exit status.

    Args:
        name: of the command, before each line.
        stack: as its stack file has it.
        work: returns what was done, as a line for a person.
        path: the archive, if there is one.

    Returns:
        0: done, 2: refused or failed.
    """
    began = time.monotonic()
    try:
        subject = stacks.load(stack)
        assert subject.target  # a stack that was loaded has one
        access.install(subject.access)
        summary_line = work(subject.target)
    except (RefusedError, CannotRunError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return FAILED
    except requests.RequestException as error:
        print(f"{name}: the artifacts: {error_summary(error)}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(
            f"{name}: {error.filename or path or stack}: {error.strerror or error}",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return FAILED
    print(f"{name}: {summary_line}, in {time.monotonic() - began:.1f} s")
    return 0
