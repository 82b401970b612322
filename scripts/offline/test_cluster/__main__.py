"""Command line: `scripts/offline/cluster up|down|status`."""

import argparse
import sys

from scripts.offline.test_cluster import lifecycle
from scripts.prepare import state, ui


def main() -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/offline/cluster",
        description="A real Kubernetes of one node on this machine, built from Go modules, for "
        "places that have no kind, minikube or k3d.",
    )
    parser.add_argument("command", choices=("up", "down", "status"))
    command = parser.parse_args().command

    def work() -> None:
        state.ensure_folder()
        if command == "status":
            good, text = lifecycle.status()
            if not good:
                raise ui.SetupError(text)
            ui.say(lifecycle.PART, text)
        else:
            ui.say(lifecycle.PART, lifecycle.up() if command == "up" else lifecycle.down())

    return ui.report(lifecycle.PART, work)


if __name__ == "__main__":
    sys.exit(main())
