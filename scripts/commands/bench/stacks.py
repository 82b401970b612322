"""Which stacks are tested how."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from scripts.commands.bench import arguments, test_cluster, upgrade_options
from scripts.commands.bench.comparison import runner, schedule
from scripts.commands.bench.results import RESULTS
from scripts.commands.bench.run import Options, bench
from scripts.commands.bench.scenarios import deploy, scale_out, upgrade
from scripts.shared import client_releases, ui
from scripts.shared.status import Status, worst
from scripts.shared.venv import PYTHON
from scripts.stack import files, variant
from workloads.comparison import needs
from workloads.scenarios import SCENARIOS

DEPLOYING = {"deploy": deploy.run, "scale-out": scale_out.run}


def main() -> int:
    """Test every stack that the command line names; return the exit status."""
    options = arguments.read()
    if options is None:
        return Status.COULD_NOT_RUN
    ui.interrupt_on_termination()
    try:
        if options.compare:
            return _compare(options)
        _check(options.scenario)
        if options.scenario in arguments.DEPLOYING:
            return worst([_deploying(stack, options) for stack in options.stacks])
        python = _client(options.client) if options.client else PYTHON
        each = Options(options.profile, options.scenario, options.keep, options.remove, python)
        variants = [variant.of(text) for text in options.stacks]
        with test_cluster.running_for([one.stack for one in variants], options.keep):
            found = [bench(one.stack, replace(each, release=one.release)) for one in variants]
        if len(found) > 1:
            for one, outcome in zip(variants, found, strict=True):
                ui.say(str(one), f"verdict {outcome.status.words}")
        return worst([outcome.status for outcome in found])
    except ui.SetupError as error:
        ui.say("bench", f"could not run: {error}")
    except KeyboardInterrupt:
        ui.say("bench", "interrupted")
    return Status.COULD_NOT_RUN


def _client(release: str) -> Path:
    """Return the Python of a load by this release; it is made before anything is deployed."""
    try:
        return client_releases.python_of(release, workloads=True)
    except client_releases.CannotInstallError as error:
        raise ui.SetupError(f"--client {release}: {error}") from None


def _check(scenario: str) -> None:
    """Refuse a scenario that nobody knows, before anything is deployed."""
    known = [*SCENARIOS, *arguments.DEPLOYING]
    if scenario not in known:
        raise ui.SetupError(f"unknown scenario {scenario!r}: there are {', '.join(known)}")


def _deploying(stack: str, options: argparse.Namespace) -> Status:
    """Run a scenario that deploys by itself, on a stack that is not deployed."""
    if reason := runner.obstacle(stack):
        ui.say(stack, reason)
        return Status.COULD_NOT_RUN
    try:
        if options.scenario == upgrade_options.NAME:
            return upgrade.run(stack, options.profile, upgrade_options.read(options))
        return DEPLOYING[options.scenario](stack, options.profile)
    except ui.SetupError as error:
        ui.say(stack, str(error))
        return Status.COULD_NOT_RUN


def _compare(options: argparse.Namespace) -> Status:
    """Compare the stacks, or go on with an earlier comparison."""
    if options.resume:
        folder = schedule.unfinished(RESULTS)
        if folder is None:
            raise ui.SetupError("no comparison in results/ is unfinished; leave --resume out")
    else:
        folder = runner.new(options.stacks, files.names(), options.profile, options.seed)
    try:
        status = runner.run(folder)
    except KeyboardInterrupt:
        ui.say("compare", "interrupted; go on with: ./scripts/bench --compare --resume")
        raise
    return worst([status, runner.compare(folder, needs.arguments(options))])


if __name__ == "__main__":
    sys.exit(main())
