"""From stack names to verdicts: deploy, run a scenario, report, remove everything."""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from scripts.commands.bench import results, workload
from scripts.commands.bench.arguments import SCENARIO
from scripts.shared import ui
from scripts.shared.project import LOGS, ROOT
from scripts.shared.status import Status
from scripts.shared.venv import PYTHON
from scripts.stack import copies, deployment, snapshot, updates
from scripts.stack.variant import Variant


@dataclass(frozen=True)
class Options:
    """What is to be done with a stack.

    Attributes:
        keep: leave it deployed.
        remove: remove it also where it was deployed before.
        python: that has the client of the load.
        release: of mlflow, in place of the one of the stack's file.
    """

    profile: str = "quick"
    scenario: str = SCENARIO
    keep: bool = False
    remove: bool = False
    python: Path = PYTHON
    release: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What came of it; the folder has the files of a run that came to its end."""

    status: Status
    folder: Path | None = None


def bench(stack: str, options: Options) -> Outcome:
    """Deploy one stack, test it, and remove what was deployed for that.

    A stack that is up already is brought up to date, tested and left.

    Raises:
        KeyboardInterrupt: after what was made is removed again.
    """
    try:
        was_deployed = _is_up(stack)
    except ui.SetupError as error:
        ui.say(stack, str(error))
        return Outcome(Status.COULD_NOT_RUN)
    if was_deployed and options.release:
        ui.say(stack, deployment.in_the_way(stack))
        return Outcome(Status.COULD_NOT_RUN)
    wanted = Variant(stack, options.release)
    kept = options.keep or (was_deployed and not options.remove)
    if was_deployed:
        end = "is kept (--remove removes it)" if kept else "is removed afterwards"
        ui.say(stack, f"was deployed before: it is brought up to date and tested, and {end}")
    folder: Path | None = None
    times: dict[str, float] = {}
    status = Status.COULD_NOT_RUN
    locked = False
    try:
        if was_deployed:  # What its state has may be gone meanwhile, hence the look at it.
            took = updates.up(stack, refresh=True)
            ui.say(stack, f"brought up to date in {ui.elapsed(took)}")
        else:
            times["up_s"] = copies.up(wanted)
            ui.say(stack, f"deployed in {ui.elapsed(times['up_s'])}")
        folder = results.new_run(str(wanted))
        status = _workload(stack, options, folder)
    except ui.SetupError as error:
        ui.say(stack, str(error))
        locked = isinstance(error, updates.LockedError)
    finally:
        if locked:
            pass  # What is there, or will be, is somebody else's.
        elif kept:
            ui.say(stack, f"kept; remove it with: . scripts/activate; pulumi destroy -s {stack}")
        else:
            with ui.second_interrupt_only(stack):
                removed, times["destroy_s"] = deployment.remove(stack)
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
    killed = updates.unlock(stack)
    present = snapshot.read(stack)
    if killed and not present.empty and present.begun_after(killed):
        ui.say(stack, "removing what the killed process left")
        if not deployment.remove(stack)[0]:
            raise ui.SetupError("could not run: what a killed process left is in the way")
        return False
    return present.resources > 0


def _workload(stack: str, options: Options, folder: Path) -> Status:
    """Run the scenario, with the terminal as its own."""
    arguments = ["--scenario", options.scenario, "--profile", options.profile]
    return workload.run(
        stack,
        options.scenario,
        arguments,
        folder,
        shown=True,
        python=options.python,
        release=options.release,
    )


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
