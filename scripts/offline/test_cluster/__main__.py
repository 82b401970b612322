"""Command line: `scripts/offline/cluster up|down|status|build`."""

import argparse
import sys

from scripts.offline.test_cluster import build, lifecycle
from scripts.prepare import state, ui


def main() -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/offline/cluster",
        description="A real Kubernetes of one node on this machine, built from Go modules, for "
        "places that have no kind, minikube or k3d.",
    )
    parser.add_argument("command", choices=("up", "down", "status", "build"))
    command = parser.parse_args().command

    def run() -> None:
        state.ensure_folder()
        if command == "status":
            good, text = lifecycle.status()
            if not good:
                raise ui.SetupError(text)
            ui.say(lifecycle.PART, text)
        else:
            work = {"up": lifecycle.up, "down": lifecycle.down, "build": build.ensure}[command]
            ui.say(lifecycle.PART, work())

    return ui.report(lifecycle.PART, run)


if __name__ == "__main__":
    sys.exit(main())
