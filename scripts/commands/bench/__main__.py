"""`scripts/bench`: prepare, then see `stacks`."""

import sys

from scripts.commands.bench import arguments
from scripts.commands.setup.prepare import run_prepared
from scripts.shared.status import Status
from scripts.stack import variant

if __name__ == "__main__":
    options = arguments.read()
    if options is None:
        sys.exit(Status.COULD_NOT_RUN)
    stacks = [variant.name(text) for text in options.stacks]
    sys.exit(run_prepared("bench", "scripts.commands.bench.stacks", stacks, quiet=True))
