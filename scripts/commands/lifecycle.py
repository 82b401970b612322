"""`scripts/lifecycle`: takes stacks through their lives, as the end-to-end tests do."""

import argparse
import os
import sys
import tempfile
from pathlib import Path

from scripts.stack import files
from tests.e2e import lifecycle
from tests.e2e.lifecycle import CHANGES, live


def main() -> int:
    """Take the stacks named, or all, through their lives; return 1 at the first difference."""
    parser = argparse.ArgumentParser(prog="scripts/lifecycle", description=lifecycle.__doc__)
    parser.add_argument("stacks", metavar="STACK", nargs="*", help="default: all of stacks/")
    os.environ.pop("PYTHONPATH", None)  # The launcher's: what is tested has to do without.
    names = parser.parse_args().stacks or files.names()
    unknown = [name for name in names if name not in CHANGES]
    if unknown:
        parser.error(
            f"no changes are known for {', '.join(unknown)}: {', '.join(CHANGES)} have some"
        )
    for name in names:

        def tell(line: str, name: str = name) -> None:
            print(f"{name:<13} {line}", flush=True)

        with tempfile.TemporaryDirectory() as folder:
            try:
                live(name, Path(folder), tell, CHANGES[name])
            except AssertionError as error:
                tell(f"FAILED: {error}")
                return 1
        tell("good")
    return 0


if __name__ == "__main__":
    sys.exit(main())
