"""What is compared: figures of a deployment by name, from its results."""

from collections.abc import Iterator
from dataclasses import dataclass

from workloads.comparison.load import Deployment
from workloads.figures import ALL_CALLS
from workloads.result import Judgement, OperationFigures, Result, StageFigures

MIB = 2**20


@dataclass(frozen=True)
class Quantity:
    """Something that every deployment may have a figure of.

    Attributes:
        part: which part of the table it is in.
        name: what a person reads; unique in its part.
        unit: as `s`; empty for a count.
        more_is_better: None where neither is.
    """

    part: str
    name: str
    unit: str
    more_is_better: bool | None


@dataclass(frozen=True)
class Figure:
    """A figure of one deployment; `counts` is whether its run's gates let it be compared."""

    value: float
    counts: bool = True


TIMES = {"up_s": "deploy", "noop_s": "deploy again, nothing changed", "destroy_s": "destroy"}


def figures(deployment: Deployment) -> dict[Quantity, Figure]:
    """Return every figure of a deployment; what was not measured is not there."""
    found: dict[Quantity, Figure] = {}
    for key, name in TIMES.items():
        if key in deployment.times:
            found[Quantity("deployment", name, "s", False)] = Figure(deployment.times[key])
    for result in deployment.runs.values():
        found.update(_of_run(result))
    found.update(_durability(deployment))
    return found


def judged(result: Result) -> StageFigures | None:
    """The stage that decided the verdict of a run."""
    return next((s for s in result.stages if s.stage.name == result.judged_stage), None)


def counts(result: Result) -> bool:
    """Whether a run's figures may be compared: the generator was not the limit, and the like."""
    stage = judged(result)
    gates = [*result.gates, *(stage.gates if stage else [])]
    gates += result.resilience.gates if result.resilience else []
    return all(gate.passed is not False for gate in gates)


def _of_run(result: Result) -> Iterator[tuple[Quantity, Figure]]:
    match result.plan.scenario:
        case "training":
            yield from _training(result)
        case "metrics" | "mixed" | "search" | "registry":
            yield from _load(result)
        case "capacity":
            yield from _capacity(result)
        case "burst":
            yield from _bursts(result)
        case "artifacts":
            yield from _artifacts(result)
        case "resilience":
            yield from _faults(result)


def _training(result: Result) -> Iterator[tuple[Quantity, Figure]]:
    """One training is its steps in a row: the sum of their medians."""
    steps = [row for row in result.operations if row.type == "step"]
    medians = [row.p50_ms for row in steps if row.p50_ms is not None]
    good = counts(result)
    users = result.plan.profile.users
    if medians and len(medians) == len(steps):
        name = f"one training, {users} at once"
        yield Quantity("training", name, "s", False), Figure(sum(medians) / 1000, good)
    calls = _calls(result)
    if calls and calls.p95_ms is not None:
        name = f"p95 of a call, {users} trainers"
        yield Quantity("training", name, "ms", False), Figure(calls.p95_ms, good)


def _load(result: Result) -> Iterator[tuple[Quantity, Figure]]:
    stage, good = judged(result), counts(result)
    if stage is None:
        return
    where = f"{result.plan.scenario}, {stage.stage.name}"
    calls = stage.calls
    yield Quantity(where, "calls", "1/s", True), Figure(calls.rate, good)
    counted = calls.intended or calls
    for name, value in (("median", counted.p50_ms), ("p95", counted.p95_ms)):
        if value is not None:
            yield Quantity(where, name, "ms", False), Figure(value, good)
    seen = stage.observed
    if seen and seen.components:
        if seen.cpu_ms_per_call is not None:
            yield Quantity(where, "CPU of a call", "ms", False), Figure(seen.cpu_ms_per_call, good)
        memory = sum(part.memory_bytes for part in seen.components.values()) / MIB
        yield Quantity(where, "memory of all components", "MiB", False), Figure(memory, good)


def _capacity(result: Result) -> Iterator[tuple[Quantity, Figure]]:
    climbed = result.capacity
    if climbed is None or climbed.knee.users is None:
        return
    good = counts(result)
    reached = "knee" if climbed.knee.reached else "most users tried, no knee yet"
    yield Quantity("capacity", reached, "users", True), Figure(climbed.knee.users, good)
    yield Quantity("capacity", "calls there", "1/s", True), Figure(climbed.knee.rate, good)
    if climbed.users_within_objectives:
        most = Figure(climbed.users_within_objectives, good)
        yield Quantity("capacity", "most users within the objectives", "users", True), most


def _bursts(result: Result) -> Iterator[tuple[Quantity, Figure]]:
    for stage in result.stages:
        counted = stage.calls.intended or stage.calls
        if counted.p95_ms is not None:
            name = f"p95 of {stage.stage.name}"
            yield Quantity("burst", name, "ms", False), Figure(counted.p95_ms, stage.counts)


def _artifacts(result: Result) -> Iterator[tuple[Quantity, Figure]]:
    good = counts(result)
    for row in result.operations:
        if row.size_bytes and row.mib_per_s is not None:
            yield Quantity("artifacts", row.name, "MiB/s", True), Figure(row.mib_per_s, good)


def _faults(result: Result) -> Iterator[tuple[Quantity, Figure]]:
    if result.resilience is None:
        return
    good = counts(result)
    for fault in result.resilience.faults:
        if fault.why_failed:
            continue
        part = f"fault {fault.fault}"
        gap = Quantity(part, "longest time without an answer", "s", False)
        yield gap, Figure(fault.gap_s, good)
        if fault.recovery_s is not None:
            recovery = Quantity(part, "until all was as before", "s", False)
            yield recovery, Figure(fault.recovery_s, good)
        failed = Quantity(part, "calls that failed in the end", "", False)
        yield failed, Figure(fault.failed, good)
        mended = Quantity(part, "calls that the client mended by a repeat", "", None)
        yield mended, Figure(fault.mended, good)


def _durability(deployment: Deployment) -> Iterator[tuple[Quantity, Figure]]:
    """What was acknowledged, lost and doubled in all runs of a deployment together."""
    kinds = [k for run in deployment.runs.values() for k in run.durability.kinds.values()]
    if not kinds:
        return
    for name, what, better in (
        ("acknowledged and read back", "present", None),
        ("lost", "lost", False),
        ("duplicates", "duplicates", False),
        ("acknowledged, never read", "unread", False),
    ):
        yield (
            Quantity("durability, all runs", name, "", better),
            Figure(sum(getattr(kind, what) for kind in kinds)),
        )


def _calls(result: Result) -> OperationFigures | None:
    return next((row for row in result.operations if row.name == ALL_CALLS), None)


def verdict(deployment: Deployment) -> Judgement | None:
    """Return the worst verdict of a deployment's runs; None without a run."""
    order = (Judgement.GOOD, Judgement.INVALID, Judgement.BAD)
    found = [run.verdict.judgement for run in deployment.runs.values()]
    return max(found, key=order.index, default=None)
