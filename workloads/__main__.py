"""The command line: `python -m workloads --help`; its commands are in `commands`."""

import sys

from workloads.commands.application import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
