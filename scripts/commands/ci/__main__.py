"""`scripts/ci`: prepare, then see `pipeline`."""

import os
import sys

from scripts.commands.ci import arguments
from scripts.commands.setup.prepare import run_prepared
from scripts.shared.status import Status

if __name__ == "__main__":
    options = arguments.read()
    if options is None:
        sys.exit(Status.COULD_NOT_RUN)
    arguments.drop_empty(os.environ)
    sys.exit(run_prepared("ci", "scripts.commands.ci.pipeline", [options.stack]))
