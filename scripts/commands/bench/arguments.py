"""The command line of `scripts/bench`; without packages, as it is read before they are there."""

import argparse
from collections.abc import Sequence

from infra import releases
from scripts.commands.bench import upgrade_options
from scripts.shared import ui
from scripts.stack import files, variant
from workloads.comparison import needs

SCENARIO = "training"
OLDEST_CLIENT = "3.14.0"
DEPLOYING = ("deploy", "scale-out", upgrade_options.NAME)
"""Scenarios that deploy by themselves."""


def read() -> argparse.Namespace | None:
    """Return the arguments; None where they are wrong, which is said."""
    known = files.names()
    parser = _parser(known)
    options = parser.parse_args()
    options.stacks = [each for text in options.stacks for each in variant.expanded(text)]
    if problem := _problem(options, known):
        ui.say("bench", problem)
        return None
    return options


def _parser(known: Sequence[str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Deploy each STACK, run a scenario against it, write the report "
        "and remove the stack again, also after a failure or an interrupt. One that was deployed "
        "before is brought up to date, tested and kept. With --compare: the "
        "same with every workload of the comparison, one stack after another, then a table and a "
        "page that set them side by side.",
        epilog="Exit status: 0 verdict good, 1 verdict bad, 2 could not run or was interrupted, "
        "3 result invalid; of several runs the worst, in the order 2, 1, 3, 0.",
    )
    parser.add_argument(
        "stacks",
        metavar="STACK[@RELEASE]",
        nargs="*",
        help=f"one of: {', '.join(known)}; with another release of mlflow, as multi-az@3.16.1, "
        "or with each that is supported: multi-az@all",
    )
    parser.add_argument("--profile", choices=("quick", "full"), default="quick")
    parser.add_argument(
        "--scenario",
        default=SCENARIO,
        help=f"one of `python -m workloads list` (default: {SCENARIO}), or one that deploys: "
        "deploy (up, no-op up and destroy, timed), scale-out (other numbers of replicas and "
        "workers), upgrade (to a later release of mlflow, under load)",
    )
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--keep", action="store_true", help="leave the stacks deployed")
    after.add_argument(
        "--remove",
        action="store_true",
        help="remove the stacks also where they were deployed before, with their data",
    )
    parser.add_argument(
        "--client",
        metavar="RELEASE",
        help="have the load by the client of this release of mlflow, as 3.16.1",
    )
    parser.add_argument(
        "--compare", action="store_true", help="compare the stacks; no names: all that can run here"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the comparison that did not end"
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="of a comparison, and of kills (default: 1)"
    )
    needs.add_arguments(parser)
    upgrade_options.add_arguments(parser)
    return parser


def _problem(options: argparse.Namespace, available: Sequence[str]) -> str | None:
    """Return what is wrong with the arguments; None if nothing is."""
    try:
        variants = [variant.read(text, available) for text in options.stacks]
    except ValueError as error:
        return str(error)
    if options.scenario in DEPLOYING and any(each.release for each in variants):
        whose = "--from and --to" if options.scenario == upgrade_options.NAME else "the stack file"
        return f"{options.scenario} takes the release of {whose}; leave @RELEASE out"
    if problem := upgrade_options.problem(options):
        return problem
    if options.keep and any(each.release for each in variants):
        return (
            "--keep: the next update would be by the stack file, with its release: set that there: "
            "pulumi config set mlflow RELEASE"
        )
    if options.remove and (options.compare or options.scenario in DEPLOYING):
        return "--remove: only what is not deployed is compared or deployed here; leave it out"
    if options.client and (options.compare or options.scenario in DEPLOYING):
        return "--client: a comparison and what deploys use the pinned client; leave it out"
    if options.client and (problem := _client_problem(options.client)):
        return problem
    if options.keep and options.scenario in DEPLOYING and options.scenario != upgrade_options.NAME:
        return f"--keep: {options.scenario} deploys and removes by itself; leave it out"
    if options.compare and options.scenario != SCENARIO:
        return "--scenario: a comparison has workloads of its own; leave it out"
    if not options.compare:
        if options.resume or needs.arguments(options):
            return "--resume and what you need are for a comparison: add --compare"
        return (
            None if options.stacks else f"name a stack: {', '.join(available)}; or give --compare"
        )
    if options.keep:
        return "--keep: a comparison removes each stack before the next; leave it out"
    if options.resume and options.stacks:
        return "--resume goes on with the stacks that it began with; leave the names out"
    try:
        needs.read(options)
    except ValueError as error:
        return str(error)
    return None


def _client_problem(release: str) -> str | None:
    """Return why the load cannot be by the client of this release, as far as its number tells."""
    try:
        numbers = releases.numbers(release)
    except ValueError:
        return f"--client {release}: give a release of mlflow by its number, as 3.16.1"
    if numbers < releases.numbers(OLDEST_CLIENT):
        return (
            f"--client {release}: workloads use what mlflow has since 3; those from "
            f"{OLDEST_CLIENT} on are tried: give one of these (docs/clients.md has what older ones "
            "do)"
        )
    return None
