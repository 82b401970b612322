"""From stack names to verdicts: deploy, run a scenario, report, remove everything."""

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from scripts import deployed, deploying, workload
from scripts.comparison import runner, schedule
from scripts.prepare import ui
from scripts.prepare.__main__ import prepare
from scripts.prepare.pins import LOGS, ROOT
from scripts.prepare.source import Source
from scripts.prepare.state import presets
from scripts.scenarios import deploy, scale_out
from scripts.status import Status, worst
from workloads.comparison import needs

SCENARIO = "training"
DEPLOYING = {"deploy": deploy.run, "scale-out": scale_out.run}
"""Scenarios that deploy by themselves."""

RESULTS = ROOT / "results"


@dataclass(frozen=True)
class Wanted:
    """What is to be done with a stack.

    Attributes:
        keep: leave it deployed.
        remove: remove it also where it was deployed before.
    """

    profile: str = "quick"
    scenario: str = SCENARIO
    keep: bool = False
    remove: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of it; the folder has the files of a run that came to its end."""

    status: Status
    folder: Path | None = None


def bench(stack: str, wanted: Wanted) -> Outcome:
    """Deploy one stack, test it, and remove what was deployed for that.

    A stack that is up already is brought up to date, tested and left.

    Raises:
        KeyboardInterrupt: after what was made is removed again.
    """
    try:
        there = _is_up(stack)
    except ui.SetupError as error:
        ui.say(stack, str(error))
        return Outcome(Status.COULD_NOT_RUN)
    stays = wanted.keep or (there and not wanted.remove)
    if there:
        end = "is kept (--remove removes it)" if stays else "is removed afterwards"
        ui.say(stack, f"was deployed before: it is brought up to date and tested, and {end}")
    folder: Path | None = None
    times: dict[str, float] = {}
    status = Status.COULD_NOT_RUN
    locked = False
    try:
        if there:  # What its state has may be gone meanwhile, hence the look at it.
            took = deploying.up(stack, "--refresh")
            ui.say(stack, f"brought up to date in {ui.elapsed(took)}")
        else:
            times["up_s"] = deploying.up(stack)
            ui.say(stack, f"deployed in {ui.elapsed(times['up_s'])}")
        folder = new_folder(stack)
        status = _workload(stack, wanted, folder)
    except ui.SetupError as error:
        ui.say(stack, str(error))
        locked = isinstance(error, deployed.LockedError)
    finally:
        if locked:
            pass  # What is there, or will be, is somebody else's.
        elif stays:
            ui.say(stack, f"kept; remove it with: . scripts/activate; pulumi destroy -s {stack}")
        else:
            with ui.second_interrupt_only(stack):
                removed, times["destroy_s"] = deploying.remove(stack)
            status = status if removed else Status.COULD_NOT_RUN
        if folder:
            folder = _keep_records(folder, stack, times)
    ui.say(stack, f"verdict {status.words} (exit status {status})")
    if folder:
        ui.say(stack, f"report: {(folder / 'report.html').relative_to(ROOT)}")
    return Outcome(status, folder)


def _is_up(stack: str) -> bool:
    """Tell whether a stack is deployed; a first deployment that was killed is removed.

    Raises:
        ui.SetupError: an engine is at work on it, its state cannot be read, or not removed.
    """
    killed = deployed.unlock(stack)
    state = deployed.read_state(stack)
    if killed and not state.empty and state.begun_after(killed):
        ui.say(stack, "removing what the killed process left")
        if not deploying.remove(stack)[0]:
            raise ui.SetupError("could not run: what a killed process left is in the way")
        return False
    return state.resources > 0


def _workload(stack: str, wanted: Wanted, folder: Path) -> Status:
    """Run the scenario, with the terminal as its own."""
    arguments = ["--scenario", wanted.scenario, "--profile", wanted.profile]
    return workload.run(stack, wanted.scenario, arguments, folder, shown=True)


def new_folder(stack: str) -> Path:
    """Make the folder of a run: another bench that begins at the same moment has another."""
    name = folder = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{stack}"
    number = 1
    while True:
        try:
            folder.mkdir(parents=True)
            return folder
        except FileExistsError:
            number += 1
            folder = name.with_name(f"{name.name}.{number}")


def _keep_records(folder: Path, stack: str, times: dict[str, float]) -> Path | None:
    """Put times and logs beside a run's files; return its folder if it came to its end."""
    if not any(folder.iterdir()):
        folder.rmdir()
        return None
    if not (folder / workload.RESULT).exists():
        return None
    rounded = {name: round(seconds, 3) for name, seconds in times.items()}
    (folder / "deploy.json").write_text(json.dumps(rounded, indent=2) + "\n")
    for verb in ("up", "destroy"):
        log = LOGS / f"{verb}-{stack}.log"
        if f"{verb}_s" in times and log.exists():
            shutil.copyfile(log, folder / f"{verb}.log")
    # Judged as before; the report and result.json now have the times too.
    argv = ["python", "-m", "workloads", "recheck", "--write", str(folder)]
    subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)
    return folder


def main() -> int:
    """Read the command line, prepare, and run every stack; return the exit status."""
    known = presets()
    parser = _parser(known)
    options = parser.parse_args()
    problem = _problem(options, known)
    if problem:
        ui.say("bench", problem)
        return Status.COULD_NOT_RUN
    ui.interrupt_on_termination()
    try:
        os.environ.update(prepare(Source.AUTO, os.environ, quiet=True, stacks=options.stacks))
        if options.compare:
            return _compare(options, known)
        _check(options.scenario)
        if options.scenario in DEPLOYING:
            return worst([_deploying(stack, options) for stack in options.stacks])
        wanted = Wanted(options.profile, options.scenario, options.keep, options.remove)
        with deploying.test_cluster(options.stacks, options.keep):
            return worst([bench(stack, wanted).status for stack in options.stacks])
    except ui.SetupError as error:
        ui.say("bench", f"could not run: {error}")
    except KeyboardInterrupt:
        ui.say("bench", "interrupted")
    return Status.COULD_NOT_RUN


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
    parser.add_argument("stacks", metavar="STACK", nargs="*", help=f"one of: {', '.join(known)}")
    parser.add_argument("--profile", choices=("quick", "full"), default="quick")
    parser.add_argument(
        "--scenario",
        default=SCENARIO,
        help=f"one of `python -m workloads list` (default: {SCENARIO}), or one that deploys: "
        "deploy (up, no-op up and destroy, timed), scale-out (other numbers of replicas and "
        "workers)",
    )
    after = parser.add_mutually_exclusive_group()
    after.add_argument("--keep", action="store_true", help="leave the stacks deployed")
    after.add_argument(
        "--remove",
        action="store_true",
        help="remove the stacks also where they were deployed before, with their data",
    )
    parser.add_argument(
        "--compare", action="store_true", help="compare the stacks; no names: all that can run here"
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the comparison that did not end"
    )
    parser.add_argument("--seed", type=int, default=1, help="of a comparison (default: 1)")
    needs.add_arguments(parser)
    return parser


def _problem(options: argparse.Namespace, known: Sequence[str]) -> str | None:
    """Return what is wrong with the arguments; None if nothing is."""
    unknown = [stack for stack in options.stacks if stack not in known]
    if unknown:
        there = ", ".join(known) or "none"
        return f"no stack {', '.join(unknown)} in stacks/; there is: {there}"
    if options.remove and (options.compare or options.scenario in DEPLOYING):
        return "--remove: only what is not deployed is compared or deployed here; leave it out"
    if options.keep and options.scenario in DEPLOYING:
        return f"--keep: {options.scenario} deploys and removes by itself; leave it out"
    if options.compare and options.scenario != SCENARIO:
        return "--scenario: a comparison has workloads of its own; leave it out"
    if not options.compare:
        if options.resume or needs.arguments(options):
            return "--resume and what you need are for a comparison: add --compare"
        return None if options.stacks else f"name a stack: {', '.join(known)}; or give --compare"
    if options.keep:
        return "--keep: a comparison removes each stack before the next; leave it out"
    if options.resume and options.stacks:
        return "--resume goes on with the stacks that it began with; leave the names out"
    try:
        needs.read(options)
    except ValueError as error:
        return str(error)
    return None


def _check(scenario: str) -> None:
    """Refuse a scenario that nobody knows, before anything is deployed."""
    if scenario in DEPLOYING:
        return
    log = LOGS / "scenarios.log"
    ui.run("bench", "listing the scenarios", ["python", "-m", "workloads", "list"], log=log)
    known = [line.split()[0] for line in log.read_text().splitlines() if line[:1].strip()]
    if scenario not in known:
        there = ", ".join([*known, *DEPLOYING])
        raise ui.SetupError(f"unknown scenario {scenario!r}: there are {there}")


def _deploying(stack: str, options: argparse.Namespace) -> Status:
    """Run a scenario that deploys by itself, on a stack that is not deployed."""
    if reason := runner.obstacle(stack):
        ui.say(stack, reason)
        return Status.COULD_NOT_RUN
    try:
        return DEPLOYING[options.scenario](stack, options.profile)
    except ui.SetupError as error:
        ui.say(stack, str(error))
        return Status.COULD_NOT_RUN


def _compare(options: argparse.Namespace, known: Sequence[str]) -> Status:
    """Compare the stacks, or go on with an earlier comparison."""
    if options.resume:
        folder = schedule.unfinished(RESULTS)
        if folder is None:
            raise ui.SetupError("no comparison in results/ is unfinished; leave --resume out")
    else:
        folder = runner.new(options.stacks, known, options.profile, options.seed)
    try:
        status = runner.go(folder)
    except KeyboardInterrupt:
        ui.say("compare", "interrupted; go on with: ./scripts/bench --compare --resume")
        raise
    return worst([status, runner.set_side_by_side(folder, needs.arguments(options))])


if __name__ == "__main__":
    sys.exit(main())
