"""Deploying, testing and removing the stacks of a comparison, one after another."""

import json
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts.commands.bench import results, test_cluster, workload
from scripts.commands.bench.comparison import schedule
from scripts.commands.bench.comparison.schedule import Plan, Slot, Step
from scripts.commands.setup import cluster
from scripts.shared import machine, ui
from scripts.shared.project import ROOT, VENV
from scripts.shared.status import Status, status_of, worst
from scripts.stack import copies, deployment, files, snapshot, updates, variant
from workloads.comparison.layout import PROGRESS

PART = "compare"

ORDER = ("local", "single-az", "multi-az", "multi-az-nfs", "k8s")
"""From the simplest on; the first is what the others are set against."""


def new(stacks: Sequence[str], known: Sequence[str], profile: str, seed: int) -> Path:
    """Decide a comparison of these stacks, of all that can run here if none is named.

    Returns:
        its folder.

    Raises:
        ui.SetupError: under two of them can run here.
    """
    chosen = list(dict.fromkeys(stacks)) or sorted(known, key=_simplest_first)
    obstacles = {text: reason for text in chosen if (reason := obstacle(variant.name(text)))}
    for stack, reason in obstacles.items():
        ui.say(stack, f"is left out: {reason}")
    able = [stack for stack in chosen if stack not in obstacles]
    program = schedule.PROGRAMS[profile]
    if not able or (len(able) < 2 and not program.duplicate):
        raise ui.SetupError(
            f"a comparison needs two stacks that can run here, and there is {len(able)}"
        )
    plan = Plan(
        profile=profile,
        baseline=able[0],
        blocks=schedule.order(able, program, seed),
        left_out=obstacles,
        steps=program.steps,
        seed=seed,
        seeds=schedule.seeds(program, seed),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    folder = results.new_run("compare")
    plan.save(folder)
    return folder


def obstacle(stack: str) -> str | None:
    """Return why a stack cannot be compared here; None if nothing stands in the way.

    A comparison deploys anew and removes: what a person has deployed is not touched.
    """
    if snapshot.read(stack).resources and (not cluster.wanted([stack]) or cluster.runs()):
        return deployment.in_the_way(stack)
    context = files.context(stack)
    if context and not cluster.wanted([stack]):
        argv = ["kubectl", "config", "get-contexts", "-o", "name"]
        if context not in (machine.output(argv) or "").splitlines():
            return f"no kubeconfig has its context {context}; see docs/kubernetes.md"
    if cluster.wanted([stack]) and not machine.debian_root():
        return "the test cluster needs root on Debian; see docs/kubernetes.md"
    port = files.port(stack)
    if port and _is_taken(port):
        return f"port {port} is taken: stop what listens there, or change it in its stack file"
    return None


def run(folder: Path) -> Status:
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
    todo = schedule.remaining(plan, before)
    _remove_interrupted(before)
    began = time.monotonic()
    for number, slot in enumerate(todo, 1):
        again = " once more (A/A)" if slot.duplicate else ""
        ui.say(slot.stack, f"deployment {number} of {len(todo)}{again}: {_since(began)} so far")
        _deploy_and_test(slot, plan, folder)
    ui.say(PART, f"{len(todo)} deployments in {_since(began)}")
    return worst(_statuses(schedule.progress(folder)))


def compare(folder: Path, needs: Sequence[str]) -> Status:
    """Let the workloads print the table and write the page; `needs` are arguments of theirs."""
    argv = [f"{VENV}/bin/python", "-m", "workloads", "compare", _relative(folder), *needs]
    return status_of(subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL).returncode)


def _deploy_and_test(slot: Slot, plan: Plan, folder: Path) -> None:
    """Take one stack from nothing through every workload and back to nothing; write it down."""
    times: dict[str, float] = {}
    runs: dict[str, dict[str, Any]] = {}
    error: str | None = None
    own = results.make(folder / slot.name)
    wanted = variant.of(slot.stack)
    stack = wanted.stack
    line = {"slot": slot.name, "block": slot.block, "stack": slot.stack, "folder": own.name}
    line |= {"duplicate": slot.duplicate, "seed": plan.seeds[slot.block]}
    removed = True
    try:
        with test_cluster.running_for([stack]):
            deployment.require_nothing(stack)  # hours may have passed since the plan was made
            _record(folder, {"event": "began", **line})
            try:
                times["up_s"] = copies.up(wanted)
                ui.say(slot.stack, f"deployed in {ui.elapsed(times['up_s'])}")
                for step in _steps(stack, plan):
                    runs[step.name] = _run(slot, step, plan, own / step.name)
                # Last, as a tracking server that has just started keeps the processors busy.
                times["noop_s"] = copies.up(wanted)
            finally:
                with ui.second_interrupt_only(slot.stack):
                    removed, times["destroy_s"] = deployment.remove(stack)
                if removed:
                    _record(folder, {"event": "removed", **line})
    except ui.SetupError as problem:
        error = str(problem)
        ui.say(slot.stack, f"{error}; going on with the next")
    if not removed:
        error = error or "it could not be removed"
    _record(folder, {"event": "ended", **line, "times": times, "runs": runs, "error": error})


def _steps(stack: str, plan: Plan) -> Iterator[Step]:
    """Yield the steps that a deployed stack can have."""
    for step in plan.steps:
        faults: list[str] = []
        if schedule.EACH_FAULT in step.arguments:
            argv = [f"{VENV}/bin/python", "-m", "workloads", "faults", "--stack", stack, "--names"]
            names = machine.output(argv, timeout=60.0, cwd=ROOT)
            if names is None:
                raise ui.SetupError(f"its faults are not known: {' '.join(argv[1:])} failed")
            faults = names.split()
        yield from step.of_each(faults)


def _run(slot: Slot, step: Step, plan: Plan, folder: Path) -> dict[str, Any]:
    """Run a workload; return its status and what it said last where it could not run."""
    folder.mkdir(parents=True)
    began = time.monotonic()
    wanted = variant.of(slot.stack)
    arguments = [*step.arguments, "--seed", str(plan.seeds[slot.block])]
    status = workload.run(wanted.stack, step.name, arguments, folder, release=wanted.release)
    took = time.monotonic() - began
    message = ui.last_line(folder / workload.LOG) if status is Status.COULD_NOT_RUN else None
    ui.say(
        slot.stack, f"{step.name}: {status.words} ({ui.elapsed(took)}){_reason(folder, message)}"
    )
    return {"status": status.value, "said": message, "took_s": round(took, 1)}


def _reason(folder: Path, message: str | None) -> str:
    """What a person has to know of a run that was not good."""
    if message:
        return f": {message}"
    try:
        verdict = json.loads((folder / "result.json").read_text())["verdict"]
        return "" if verdict["judgement"] == "good" else f": {verdict['reasons'][0]}"
    except (OSError, ValueError, KeyError, IndexError):
        return ""


def _remove_interrupted(before: Iterable[dict[str, Any]]) -> None:
    """Remove the stack that an interrupted or killed comparison was at."""
    begun = {}
    for line in before:
        begun[line["slot"]] = line
    for line in begun.values():
        stack = variant.name(line["stack"])
        if line["event"] == "began":
            updates.unlock(stack)
            if snapshot.read(stack).resources:
                ui.say(stack, "removing what the interrupted comparison left")
                deployment.remove(stack)


def _statuses(done: Iterable[dict[str, Any]]) -> Iterable[Status]:
    for line in done:
        if line["event"] == "ended":
            if line["error"]:
                yield Status.COULD_NOT_RUN
            yield from (Status(run["status"]) for run in line["runs"].values())


def _record(folder: Path, line: dict[str, Any]) -> None:
    with (folder / PROGRESS).open("a") as out:
        out.write(json.dumps(line) + "\n")


def _is_taken(port: int) -> bool:
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


def _relative(folder: Path) -> str:
    return str(folder.relative_to(ROOT)) if folder.is_relative_to(ROOT) else str(folder)
