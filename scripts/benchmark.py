"""From stack names to verdicts: deploy, run the training scenario, report, remove everything."""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from enum import IntEnum
from pathlib import Path

from scripts import deployed
from scripts.prepare import cluster, ui
from scripts.prepare.__main__ import prepare
from scripts.prepare.pins import LOGS, ROOT
from scripts.prepare.source import Source
from scripts.prepare.state import presets

SCENARIO = "training"
RESULTS = ROOT / "results"
UP_PATIENCE_S = 120.0
"""Time for the engine to end an interrupted deployment by itself."""


class Status(IntEnum):
    """Exit status of a benchmark, as that of `python -m workloads run`."""

    GOOD = 0
    BAD = 1
    COULD_NOT_RUN = 2
    INVALID = 3


BY_WEIGHT = (Status.GOOD, Status.INVALID, Status.BAD, Status.COULD_NOT_RUN)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the status that counts for several stacks: 2 over 1 over 3 over 0."""
    return max(statuses, key=BY_WEIGHT.index, default=Status.COULD_NOT_RUN)


def status_of(code: int) -> Status:
    """Return what the exit code of a workload means; an unknown one is that it could not run."""
    return Status(code) if code in set(Status) else Status.COULD_NOT_RUN


def bench(stack: str, profile: str, keep: bool) -> Status:
    """Take one stack from nothing to a verdict and back to nothing.

    Raises:
        KeyboardInterrupt: after what was made is removed again.
    """
    folder: Path | None = None
    times: dict[str, float] = {}
    status = Status.COULD_NOT_RUN
    if deployed.unlock(stack) and not keep:
        ui.say(stack, "removing what the killed process left")
        _remove(stack)
    if deployed.read_state(stack).resources:
        ui.say(stack, "is deployed already: it is brought up to date and tested as it is")
    try:
        times["up_s"] = _pulumi(stack, "up", "--skip-preview", "--suppress-outputs")
        ui.say(stack, f"deployed in {ui.elapsed(times['up_s'])}")
        before = _latest()
        status = status_of(_workload(stack, profile))
        folder = _latest() if _latest() != before else None
    except ui.SetupError as error:
        ui.say(stack, str(error))
    finally:
        if keep:
            ui.say(stack, f"kept; remove it with: . scripts/activate; pulumi destroy -s {stack}")
        else:
            with ui.second_interrupt_only(stack):
                removed, times["destroy_s"] = _remove(stack)
            status = status if removed else Status.COULD_NOT_RUN
        if folder:
            _keep_records(folder, stack, times)
    ui.say(stack, f"verdict {status.name.lower().replace('_', ' ')} (exit status {status})")
    if folder:
        ui.say(stack, f"report: {(folder / 'report.html').relative_to(ROOT)}")
    return status


@contextlib.contextmanager
def _cluster(stacks: Iterable[str], keep: bool) -> Iterator[None]:
    """Have the test cluster run if one of the stacks goes there; end it if it was started here."""
    there = [stack for stack in stacks if cluster.wanted([stack])]
    if not there or not cluster.start():
        yield
        return
    try:
        for stack in there:
            if deployed.read_state(stack).resources:
                ui.say(stack, "was in a test cluster that has ended")
                _remove(stack)
        yield
    finally:
        if not keep:
            cluster.end()


def _remove(stack: str) -> tuple[bool, float]:
    """Destroy a stack and make sure that nothing of it is left; return success and seconds."""
    began = time.monotonic()
    good = False
    state = deployed.State()
    try:
        deployed.unlock(stack)
        state = deployed.read_state(stack)
        _pulumi(stack, "destroy")
        good = True
    except ui.SetupError as error:
        ui.say(stack, str(error))
    for left in deployed.remove_labelled(state.deployments):
        ui.say(stack, f"the engine left {left} behind: removed")
    if not good:
        with contextlib.suppress(ui.SetupError):
            _pulumi(stack, "destroy", "--refresh")
            good = True
    if good and state.unfinished:  # What they made is gone now; Pulumi would warn of them for good.
        with contextlib.suppress(ui.SetupError):
            _pulumi(stack, "refresh", "--clear-pending-creates")
    took = time.monotonic() - began
    if good:
        ui.say(stack, f"removed in {ui.elapsed(took)}")
    else:
        ui.say(stack, f"not removed; try: . scripts/activate; pulumi destroy --refresh -s {stack}")
    return good, took


def _pulumi(stack: str, verb: str, *options: str) -> float:
    log = LOGS / f"{verb}-{stack}.log"
    argv = ["pulumi", verb, "--yes", "--non-interactive", "--color=never", "--stack", stack]
    try:
        return ui.run(
            stack,
            f"pulumi {verb}",
            [*argv, *options],
            log=log,
            cwd=ROOT,
            patience=UP_PATIENCE_S,
            detail=deployed.last_step,
        )
    except ui.CommandError as error:
        for line in deployed.diagnostics(log.read_text(errors="replace")):
            ui.say(stack, line)
        raise ui.SetupError(f"pulumi {verb} {error.ending} (log: {log})") from error


def _workload(stack: str, profile: str) -> int:
    """Run the scenario with the terminal as its own; pass one interrupt on to it."""
    argv = ["python", "-m", "workloads", "run", "--stack", stack, "--scenario", SCENARIO]
    child = subprocess.Popen(
        [*argv, "--profile", profile], cwd=ROOT, stdin=subprocess.DEVNULL, process_group=0
    )
    try:
        return child.wait()
    except KeyboardInterrupt:
        child.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(30)
        child.kill()
        raise


def _latest() -> Path | None:
    link = RESULTS / "latest"
    return link.resolve() if link.exists() else None


def _keep_records(folder: Path, stack: str, times: dict[str, float]) -> None:
    rounded = {name: round(seconds, 3) for name, seconds in times.items()}
    (folder / "deploy.json").write_text(json.dumps(rounded, indent=2) + "\n")
    for verb in ("up", "destroy"):
        log = LOGS / f"{verb}-{stack}.log"
        if f"{verb}_s" in times and log.exists():
            shutil.copyfile(log, folder / f"{verb}.log")
    # Judged as before; the report and result.json now have the times too.
    argv = ["python", "-m", "workloads", "recheck", "--write", str(folder)]
    subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True)


def main() -> int:
    """Read the command line, prepare, and run every stack; return the exit status."""
    known = presets()
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description=f"Deploy each STACK, run the {SCENARIO} scenario against it, write the report "
        "and remove the stack again, also after a failure or an interrupt.",
        epilog="Exit status: 0 verdict good, 1 verdict bad, 2 could not run or was interrupted, "
        "3 result invalid; of several stacks the worst, in the order 2, 1, 3, 0.",
    )
    parser.add_argument("stacks", metavar="STACK", nargs="+", help=f"one of: {', '.join(known)}")
    parser.add_argument("--profile", choices=("quick", "full"), default="quick")
    parser.add_argument("--keep", action="store_true", help="leave the stacks deployed")
    options = parser.parse_args()
    unknown = [stack for stack in options.stacks if stack not in known]
    if unknown:
        there = ", ".join(known) or "none"
        ui.say("bench", f"no stack {', '.join(unknown)} in stacks/; there is: {there}")
        return Status.COULD_NOT_RUN
    ui.interrupt_on_termination()
    try:
        os.environ.update(prepare(Source.AUTO, os.environ, quiet=True))
        with _cluster(options.stacks, options.keep):
            return worst([bench(stack, options.profile, options.keep) for stack in options.stacks])
    except ui.SetupError as error:
        ui.say("bench", f"could not run: {error}")
    except KeyboardInterrupt:
        ui.say("bench", "interrupted")
    return Status.COULD_NOT_RUN


if __name__ == "__main__":
    sys.exit(main())
