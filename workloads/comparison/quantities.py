"""What is compared: figures of a deployment by name, from its results."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from workloads.checkers.availability import WINDOW_NS
from workloads.comparison.bounded import Bound, Figure
from workloads.comparison.saved_results import Deployment, machine
from workloads.plan.plan import Load
from workloads.verdict.figures import ALL_CALLS
from workloads.verdict.result import (
    FaultFigures,
    Gate,
    Judgement,
    OperationFigures,
    Result,
    StageFigures,
)

MIB = 2**20


@dataclass(frozen=True)
class Quantity:
    """Something that every deployment may have a figure of.

    Attributes:
        part: which part of the table it is in.
        name: what a person reads; unique in its part.
        unit: as `s`; empty for a count.
        more_is_better: None where neither is.
        resolution: smallest difference that a figure can show, in its unit.
        fact: whether it counts what must never be: its first is told, whatever the noise.
    """

    part: str
    name: str
    unit: str
    more_is_better: bool | None
    resolution: float = 0.0
    fact: bool = False


TIMES = {"up_s": "deploy", "noop_s": "deploy again, nothing changed", "destroy_s": "destroy"}

Found = Iterator[tuple[Quantity, Figure]]


def figures(deployment: Deployment) -> dict[Quantity, Figure]:
    """Return every figure of a deployment; what was not measured is not there."""
    by_quantity: dict[Quantity, Figure] = {}
    for key, name in TIMES.items():
        if key in deployment.times:
            time = Figure(deployment.times[key], machine=deployment.machine)
            by_quantity[Quantity("deployment", name, "s", False)] = time
    for result in deployment.runs.values():
        by_quantity.update(_of_run(result))
    by_quantity.update(_durability(deployment))
    return by_quantity


def is_valid(result: Result, stage: StageFigures | None = None) -> bool:
    """Whether figures of a run, of its judged stage if none is given, may be compared."""
    return all(gate.passed is not False or gate.one_sided for gate in _gates(result, stage))


def bounded(result: Result, stage: StageFigures | None = None) -> bool:
    """Whether the generator was late: times are then at most, rates at least, what was seen."""
    return any(gate.passed is False and gate.one_sided for gate in _gates(result, stage))


def _gates(result: Result, stage: StageFigures | None) -> list[Gate]:
    of = stage or result.judged
    broken = result.resilience.gates if result.resilience else []
    return [*result.gates, *(of.gates if of else []), *broken]


@dataclass(frozen=True)
class _Read:
    """Makes figures of what a run, or a stage of it, found."""

    result: Result
    stage: StageFigures | None = None

    def time(self, value: float) -> Figure:
        """Also of other costs: a late generator may have made it longer."""
        return self._figure(value, Bound.AT_MOST)

    def rate(self, value: float) -> Figure:
        """Also of other gains, and of what a fuller load would have raised."""
        return self._figure(value, Bound.AT_LEAST)

    def count(self, value: float) -> Figure:
        """Return what was seen as it was seen."""
        return self._figure(value, Bound.EXACT)

    def not_ended(self, observed_s: float) -> Figure:
        """Return a time that had not ended by then; it says nothing where that may be the load's.

        What a late generator delays is neither a bound from below nor one from above.
        """
        late = bounded(self.result, self.stage)
        good = is_valid(self.result, self.stage) and not late
        return Figure(observed_s, good, Bound.AT_LEAST, machine(self.result))

    def _figure(self, value: float, late: Bound) -> Figure:
        bound = late if bounded(self.result, self.stage) else Bound.EXACT
        return Figure(value, is_valid(self.result, self.stage), bound, machine(self.result))


def _of_run(result: Result) -> Found:
    match result.plan.scenario:
        case "training":
            yield from _training(result)
        case "metrics" | "mixed" | "search" | "registry" | "trace-search" | "agents":
            yield from _load(result)
            yield from _traces(result)
        case "traces" | "otlp":
            yield from _load(result)
            yield from _traces(result)
            yield from _capacity(result, f"{result.plan.scenario}, climb")
        case "capacity":
            yield from _capacity(result)
        case "burst":
            yield from _bursts(result)
        case "artifacts":
            yield from _artifacts(result)
        case "resilience":
            for fault in result.resilience.faults if result.resilience else []:
                if not fault.fault_error:
                    yield from _fault(result, fault)


def _training(result: Result) -> Found:
    """One training is its steps in a row: the sum of their medians."""
    steps = [row for row in result.operations if row.type == "step"]
    medians = [row.p50_ms for row in steps if row.p50_ms is not None]
    read = _Read(result)
    users = result.plan.profile.users
    if medians and len(medians) == len(steps):
        name = f"one training, {users} at once"
        yield Quantity("training", name, "s", False), read.time(sum(medians) / 1000)
    calls = _calls(result)
    if calls and calls.p95_ms is not None:
        name = f"p95 of a call, {users} trainers"
        yield Quantity("training", name, "ms", False), read.time(calls.p95_ms)


def _load(result: Result) -> Found:
    stage, read = result.judged, _Read(result)
    if stage is None:
        return
    where = f"{result.plan.scenario}, {stage.stage.name}"
    calls = stage.calls
    yield Quantity(where, "calls", "1/s", True), read.rate(calls.rate)
    counted = calls.response_time or calls
    for name, value in (("median", counted.p50_ms), ("p95", counted.p95_ms)):
        if value is not None:
            yield Quantity(where, name, "ms", False), read.time(value)
    seen = stage.observed
    if seen and seen.components:
        if seen.cpu_ms_per_call is not None:
            yield Quantity(where, "CPU of a call", "ms", False), read.time(seen.cpu_ms_per_call)
        memory = sum(part.memory_bytes for part in seen.components.values()) / MIB
        yield Quantity(where, "memory of all components", "MiB", False), read.rate(memory)


def _traces(result: Result) -> Found:
    """Each load by itself: what is acknowledged at one rate, and dropped at another."""
    for stage in result.stages:
        if not (own := stage.traces):
            continue
        read, where = _Read(result, stage), f"{result.plan.scenario}, {stage.stage.name}"
        yield Quantity(where, "traces", "1/s", True), read.rate(own.traces_per_s)
        yield Quantity(where, "spans", "1/s", True), read.rate(own.spans_per_s)
        dropped = own.dropped_spans, own.dropped_traces
        for name, number in zip(("spans", "traces"), dropped, strict=True):
            yield Quantity(where, f"{name} that clients dropped", "", False), read.count(number)
        if own.metadata_p95_ms is not None:
            name = "p95 of metadata meanwhile"
            yield Quantity(where, name, "ms", False), read.time(own.metadata_p95_ms)
        if own.cpu_ms_per_span is not None:
            yield Quantity(where, "CPU of a span", "ms", False), read.time(own.cpu_ms_per_span)


def _capacity(result: Result, part: str = "capacity") -> Found:
    climbed = result.capacity
    if climbed is None:
        return
    knee, read = climbed.knee, _Read(result)
    beyond = Bound.EXACT if knee.reached else Bound.AT_LEAST
    if knee.users is not None:
        users = replace(read.count(knee.users), bound=beyond)
        yield Quantity(part, "knee", "users", True), users
    most = knee.rate if knee.reached else climbed.rate_at_least
    yield Quantity(part, "most calls", "1/s", True), replace(read.count(most), bound=beyond)
    within = climbed.users_within_objectives or 0
    after = next(
        (s for s in result.stages if s.stage.load is Load.CLOSED and s.stage.users > within), None
    )
    missed = after is not None and after.valid and not after.bounded
    held = replace(read.count(within), bound=Bound.EXACT if missed else Bound.AT_LEAST)
    yield Quantity(part, "most users within the objectives", "users", True), held


def _bursts(result: Result) -> Found:
    for stage in result.stages:
        counted = stage.calls.response_time or stage.calls
        if counted.p95_ms is not None:
            name = f"p95 of {stage.stage.name}"
            time = _Read(result, stage).time(counted.p95_ms)
            yield Quantity("burst", name, "ms", False), time


def _artifacts(result: Result) -> Found:
    for row in result.operations:
        if row.size_bytes and row.mib_per_s is not None:
            rate = _Read(result).rate(row.mib_per_s)
            yield Quantity("artifacts", row.name, "MiB/s", True), rate


def _fault(result: Result, fault: FaultFigures) -> Found:
    read, part = _Read(result), f"fault {fault.fault}"
    outage = Quantity(part, "longest outage", "s", False)
    yield outage, read.time(fault.outage_s)
    recovered = fault.recovered_s
    recovery = Quantity(part, "service restored after", "s", False, resolution=WINDOW_NS / 1e9)
    yield recovery, read.not_ended(fault.observed_s) if recovered is None else read.time(recovered)
    failed = Quantity(part, "failed calls", "", False)
    yield failed, read.count(fault.failed)
    retried = Quantity(part, "calls that succeeded after a retry", "", None)
    yield retried, read.count(fault.succeeded_after_retry)
    if traces := fault.traces:
        arrived = traces.recovered_s
        again = Quantity(part, "all traces arrived again after", "s", False, WINDOW_NS / 1e9)
        yield again, read.not_ended(fault.observed_s) if arrived is None else read.time(arrived)
        failed = Quantity(part, "failed exports of traces", "", False)
        yield failed, read.count(traces.failed)
        dropped = Quantity(part, "spans that clients dropped", "", False)
        yield dropped, read.count(traces.dropped_spans)


def _durability(deployment: Deployment) -> Found:
    """What was acknowledged, lost and duplicated in all runs of a deployment together."""
    kinds = [k for run in deployment.runs.values() for k in run.durability.kinds.values()]
    if not kinds:
        return
    for name, what, better, fact in (
        ("acknowledged and read back", "present", None, False),
        ("lost", "lost", False, True),
        ("duplicates", "duplicates", False, True),
        ("orphans", "orphans", False, False),
        ("acknowledged, never read", "unread", False, False),
    ):
        count = Figure(sum(getattr(kind, what) for kind in kinds), machine=deployment.machine)
        yield Quantity("durability, all runs", name, "", better, fact=fact), count


def _calls(result: Result) -> OperationFigures | None:
    return next((row for row in result.operations if row.name == ALL_CALLS), None)


def verdict(deployment: Deployment) -> Judgement | None:
    """Return the worst verdict of a deployment's runs; None without a run."""
    order = (Judgement.GOOD, Judgement.INVALID, Judgement.BAD)
    judgements = [run.verdict.judgement for run in deployment.runs.values()]
    return max(judgements, key=order.index, default=None)
