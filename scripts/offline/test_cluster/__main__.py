"""Command line: `scripts/offline/cluster up|down|status|build|load|has`."""

import argparse
import sys

from scripts.offline.test_cluster import build, images, lifecycle
from scripts.shared import ui

LACKS = 1
"""Exit status of `has` for an image that is not on the node."""


def main() -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/offline/cluster",
        description="A real Kubernetes of one node on this machine, built from Go modules, for "
        "places that have no kind, minikube or k3d.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("up", help="start it")
    commands.add_parser("down", help="end it, and all that is in it but images")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("build", help="only compile its programs")
    load = commands.add_parser("load", help="copy an image of this machine's Docker to its node")
    load.add_argument("image", metavar="IMAGE", help="as Docker names it")
    load.add_argument("name", metavar="NAME", help="as pods name it")
    has = commands.add_parser("has", help="exit with 0 if the node has an image, 1 if it lacks it")
    has.add_argument("name", metavar="NAME", help="as pods name it")
    options = parser.parse_args()
    if options.command == "has":
        lacks: list[bool] = []
        failed = ui.report(lifecycle.PART, lambda: lacks.append(not images.has(options.name)))
        return failed or LACKS * lacks[0]

    def run() -> None:
        if options.command == "load":
            images.load(options.image, options.name)
        elif options.command == "status":
            good, text = lifecycle.status()
            if not good:
                raise ui.SetupError(text)
            ui.say(lifecycle.PART, text)
        else:
            work = {"up": lifecycle.up, "down": lifecycle.down, "build": build.ensure}
            ui.say(lifecycle.PART, work[options.command]())

    return ui.report(lifecycle.PART, run)


if __name__ == "__main__":
    sys.exit(main())
