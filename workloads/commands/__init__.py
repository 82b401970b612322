"""The command line, one file a command."""

import sys

PROGRAM = "python -m workloads"

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


def complain(message: str) -> None:
    """Print one line to standard error."""
    print(f"{PROGRAM}: {message}", file=sys.stderr)
