"""`scripts/test`: formatting, types, and every test, also the slow ones on real parts."""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence

from scripts.shared.project import ROOT

CHECKS = (
    [sys.executable, "-m", "scripts.commands.test.browser"],
    [sys.executable, "-m", "scripts.commands.test.actionlint"],
    ["ruff", "check", "."],
    ["ruff", "format", "--check", "."],
    ["mypy", "."],
)

BUILDS = (
    [sys.executable, "-m", "tests.images.build"],
    [sys.executable, "-m", "scripts.commands.setup.plugins"],
    [sys.executable, "-m", "scripts.offline.test_cluster", "build"],
)
"""Else several processes would build each of them at once."""

# Tests wait for containers most of the time, so three processes halve it on two cores; a verdict
# is a measurement, and has the machine to itself.
SIDE_BY_SIDE = ("-n3", "--dist=loadfile", "--no-loadscope-reorder")
SLOWEST = ("--durations=30", "--durations-min=10")
TESTS = (
    ["pytest", "--cache-clear", "-m", "not quiet and not thorough", *SIDE_BY_SIDE, *SLOWEST],
    ["pytest", "-m", "quiet", *SLOWEST],
)
FAILED = 1
"""Exit status of pytest where tests failed, and nothing else is wrong."""
LAST_FAILED = ROOT / ".pytest_cache/v/cache/lastfailed"
AGAIN = ["pytest", "--last-failed", "-m", "not thorough"]
MOST_AGAIN = 3
"""More failures are no accident of a busy machine."""
THOROUGH = ["pytest", "-m", "thorough"]
PLUGINS = [
    "pytest",
    "tests/offline/plugins",
    "--ignore=tests/offline/plugins/test_kubernetes.py",
    "-n2",
]


def main() -> int:
    """Check everything, or run the tests that are named; return the exit status."""
    os.environ.pop("PYTHONPATH", None)  # The launcher's: what is tested has to do without.
    parser = argparse.ArgumentParser(
        prog="scripts/test",
        description="Check everything: formatting, types, and every test, also the slow ones on "
        "real parts. Other arguments go to pytest, as in: scripts/test tests/unit -k spec",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="also what takes too long for every change: each change of each stack, and Docker 26",
    )
    options, pytest_arguments = parser.parse_known_args()
    try:
        return check(pytest_arguments, everything=options.all)
    except KeyboardInterrupt:
        return 130


def check(pytest_arguments: Sequence[str], everything: bool) -> int:
    """Run the checks, then the tests; return the status of the first check or a test that fails."""
    if status := first_failure(CHECKS):
        return status
    if pytest_arguments:
        return run(["pytest", *pytest_arguments])
    if status := first_failure(BUILDS):
        return status
    statuses = [run(argv) for argv in TESTS]
    if FAILED in statuses and set(statuses) <= {0, FAILED}:
        statuses = [again()]
    if everything:
        statuses.append(run(THOROUGH))
        for store in ([], ["--containerd-store"]):
            newer_docker = [sys.executable, "-m", "tests.newer_docker", *store, "--"]
            statuses.append(run([*newer_docker, *PLUGINS]))
            statuses.append(run([*newer_docker, "scripts/bench", "local"]))
    return next((status for status in statuses if status), 0)


def again() -> int:
    """Run the few tests that failed once more, with nothing beside them; return the exit status.

    A machine that stalls fails a test of time. What passes here is told all the same: it may be a
    race, which the next reader should look at.
    """
    failed = sorted(json.loads(LAST_FAILED.read_text()))
    if len(failed) > MOST_AGAIN:
        return FAILED
    print("These failed, and are run once more, alone:", *failed, sep="\n  ", flush=True)
    status = run(AGAIN)
    if not status:
        print("Failed at first, passed alone:", *failed, sep="\n  ", flush=True)
    return status


def first_failure(commands: Sequence[Sequence[str]]) -> int:
    """Run commands until one fails; return its status, or 0."""
    return next((status for argv in commands if (status := run(argv))), 0)


def run(argv: Sequence[str]) -> int:
    """Run a command in the checkout, on the terminal; return its exit status."""
    with subprocess.Popen(argv, cwd=ROOT) as child:
        try:
            return child.wait()
        except KeyboardInterrupt:  # The terminal sends it to the child as well.
            child.wait()
            raise


if __name__ == "__main__":
    sys.exit(main())
