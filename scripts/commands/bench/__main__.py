"""`scripts/bench`: prepare, then see `stacks`."""

import sys

from scripts.commands.bench import arguments
from scripts.commands.setup.prepare import run_prepared
from scripts.shared.status import Status

if __name__ == "__main__":
    options = arguments.read()
    if options is None:
        sys.exit(Status.COULD_NOT_RUN)
    sys.exit(run_prepared("bench", "scripts.commands.bench.stacks", options.stacks, quiet=True))
