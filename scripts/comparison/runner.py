"""Deploying, testing and removing the stacks of a comparison, one after another."""

import json
import socket
import subprocess
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts import deployed, deploying, workload
from scripts.comparison import schedule
from scripts.comparison.schedule import Plan, Slot, Step
from scripts.prepare import cluster, machine, stack_file, ui
from scripts.prepare.pins import ROOT, VENV
from scripts.status import Status, status_of, worst
from workloads.comparison.files import PROGRESS

PART = "compare"
RESULTS = ROOT / "results"

ORDER = ("local", "single-az", "multi-az", "multi-az-nfs", "k8s")
"""From the simplest on; the first is what the others are set against."""


def new(stacks: Sequence[str], known: Sequence[str], profile: str, seed: int) -> Path:
    """Decide a comparison of these stacks, of all that can run here if none is named.

    Returns:
        its folder.

    Raises:
        ui.SetupError: under two of them can run here.
    """
    wanted = list(dict.fromkeys(stacks)) or sorted(known, key=_simplest_first)
    reasons = {stack: reason for stack in wanted if (reason := obstacle(stack))}
    for stack, reason in reasons.items():
        ui.say(stack, f"is left out: {reason}")
    able = [stack for stack in wanted if stack not in reasons]
    program = schedule.PROGRAMS[profile]
    if not able or (len(able) < 2 and not program.duplicate):
        raise ui.SetupError(
            f"a comparison needs two stacks that can run here, and there is {len(able)}"
        )
    now = datetime.now(UTC)
    plan = Plan(
        profile=profile,
        baseline=able[0],
        blocks=schedule.order(able, program, seed),
        left_out=reasons,
        steps=program.steps,
        seed=seed,
        started=now.isoformat(timespec="seconds"),
    )
    folder = RESULTS / f"{now:%Y%m%dT%H%M%SZ}-compare"
    folder.mkdir(parents=True)
    plan.save(folder)
    return folder


def obstacle(stack: str) -> str | None:
    """Return why a stack cannot be compared here; None if nothing stands in the way.

    A comparison deploys anew and removes: what a person has deployed is not touched.
    """
    if deployed.read_state(stack).resources and (not cluster.wanted([stack]) or cluster.runs()):
        return deploying.in_the_way(stack)
    context = stack_file.context(stack)
    if context and not cluster.wanted([stack]):
        argv = ["kubectl", "config", "get-contexts", "-o", "name"]
        if context not in (machine.output(argv) or "").splitlines():
            return f"no kubeconfig has its context {context}; see docs/kubernetes.md"
    if cluster.wanted([stack]) and not machine.debian_root():
        return "the test cluster needs root on Debian; see docs/kubernetes.md"
    port = stack_file.port(stack)
    if port and _taken(port):
        return f"port {port} is taken: stop what listens there, or change it in its stack file"
    return None


def go(folder: Path) -> Status:
    """Do what is left of a comparison, then set side by side what there is.

    Returns:
        the worst status of all runs of this comparison.

    Raises:
        KeyboardInterrupt: after the stack of that moment is removed.
        ui.SetupError: the comparison's plan is not readable.
    """
    try:
        plan = Plan.load(folder)
    except ValueError as error:
        raise ui.SetupError(str(error)) from None
    schedule.drop_cut_off(folder)
    before = schedule.progress(folder)
    todo = schedule.left(plan, before)
    _clear(before)
    began = time.monotonic()
    for number, slot in enumerate(todo, 1):
        again = " once more (A/A)" if slot.duplicate else ""
        ui.say(slot.stack, f"deployment {number} of {len(todo)}{again}: {_since(began)} so far")
        _deployment(slot, plan, folder)
    ui.say(PART, f"{len(todo)} deployments in {_since(began)}")
    return worst(_statuses(schedule.progress(folder)))


def set_side_by_side(folder: Path, needs: Sequence[str]) -> Status:
    """Let the workloads print the table and write the page; `needs` are arguments of theirs."""
    argv = [f"{VENV}/bin/python", "-m", "workloads", "compare", _shown(folder), *needs]
    return status_of(subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL).returncode)


def _deployment(slot: Slot, plan: Plan, folder: Path) -> None:
    """Take one stack from nothing through every workload and back to nothing; write it down."""
    times: dict[str, float] = {}
    runs: dict[str, dict[str, Any]] = {}
    error: str | None = None
    own = _fresh(folder / slot.name)
    line = {"slot": slot.name, "block": slot.block, "stack": slot.stack, "folder": own.name}
    line["duplicate"] = slot.duplicate
    removed = True
    try:
        with deploying.test_cluster([slot.stack], keep=False):
            deploying.require_nothing(slot.stack)  # hours may have passed since the plan was made
            _note(folder, {"event": "began", **line})
            try:
                times["up_s"] = deploying.up(slot.stack)
                ui.say(slot.stack, f"deployed in {ui.elapsed(times['up_s'])}")
                for step in plan.steps:
                    runs[step.name] = _run(slot, step, plan, own / step.name)
                # Last, as a tracking server that has just started keeps the processors busy.
                times["noop_s"] = deploying.up(slot.stack)
            finally:
                with ui.second_interrupt_only(slot.stack):
                    removed, times["destroy_s"] = deploying.remove(slot.stack)
                if removed:
                    _note(folder, {"event": "removed", **line})
    except ui.SetupError as problem:
        error = str(problem)
        ui.say(slot.stack, f"{error}; going on with the next")
    if not removed:
        error = error or "it could not be removed"
    _note(folder, {"event": "ended", **line, "times": times, "runs": runs, "error": error})


def _run(slot: Slot, step: Step, plan: Plan, folder: Path) -> dict[str, Any]:
    """Run a workload; return its status and what it said last where it could not run."""
    folder.mkdir(parents=True)
    began = time.monotonic()
    status = workload.run(
        slot.stack, step.name, [*step.arguments, "--seed", str(plan.seed)], folder
    )
    took = time.monotonic() - began
    said = ui.last_line(folder / workload.LOG) if status is Status.COULD_NOT_RUN else None
    ui.say(slot.stack, f"{step.name}: {status.words} ({ui.elapsed(took)}){_because(folder, said)}")
    return {"status": status.value, "said": said, "took_s": round(took, 1)}


def _because(folder: Path, said: str | None) -> str:
    """What a person has to know of a run that was not good."""
    if said:
        return f": {said}"
    try:
        verdict = json.loads((folder / "result.json").read_text())["verdict"]
        return "" if verdict["judgement"] == "good" else f": {verdict['reasons'][0]}"
    except (OSError, ValueError, KeyError, IndexError):
        return ""


def _clear(before: Iterable[dict[str, Any]]) -> None:
    """Remove the stack that an interrupted or killed comparison was at."""
    begun = {}
    for line in before:
        begun[line["slot"]] = line
    for line in begun.values():
        stack = line["stack"]
        if line["event"] == "began":
            deployed.unlock(stack)
            if deployed.read_state(stack).resources:
                ui.say(stack, "removing what the interrupted comparison left")
                deploying.remove(stack)


def _statuses(done: Iterable[dict[str, Any]]) -> Iterable[Status]:
    for line in done:
        if line["event"] == "ended":
            if line["error"]:
                yield Status.COULD_NOT_RUN
            yield from (Status(run["status"]) for run in line["runs"].values())


def _fresh(folder: Path) -> Path:
    """Make a folder of this name, with a number added where an earlier try left one."""
    tries = 1
    found = folder
    while found.exists():
        tries += 1
        found = folder.with_name(f"{folder.name}.{tries}")
    found.mkdir()
    return found


def _note(folder: Path, line: dict[str, Any]) -> None:
    with (folder / PROGRESS).open("a") as out:
        out.write(json.dumps(line) + "\n")


def _taken(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


def _simplest_first(stack: str) -> tuple[int, str]:
    return (ORDER.index(stack) if stack in ORDER else len(ORDER), stack)


def _since(began: float) -> str:
    return ui.elapsed(time.monotonic() - began)


def _shown(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)
