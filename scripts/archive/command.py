"""What the command lines of `scripts/backup` and `scripts/restore` have in common."""

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


def run(name: str, stack: str, path: Path, work: Callable[[Target, Path], str]) -> int:
    """Do the work of a command on a deployed stack and a file; return the exit status.

    Args:
        name: of the command, before each line.
        stack: as its stack file has it.
        path: the archive.
        work: returns what was done, as a line for a person.

    Returns:
        0: done, 2: refused or failed.
    """
    began = time.monotonic()
    try:
        subject = stacks.load(stack)
        assert subject.target  # a stack that was loaded has one
        access.install(subject.access)
        summary_line = work(subject.target, path)
    except (RefusedError, CannotRunError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return FAILED
    except requests.RequestException as error:
        print(f"{name}: the artifacts: {error_summary(error)}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(
            f"{name}: {error.filename or path}: {error.strerror or error}",
            file=sys.stderr,
        )
        return FAILED
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return FAILED
    print(f"{name}: {summary_line}, in {time.monotonic() - began:.1f} s")
    return 0
