"""The objectives of a stage: met, missed, or undecided where the generator may be the reason.

A busy generator can only make a server look worse. So an objective that is met is met although
the generator was late, and one that is missed by more than its lateness is missed. In between,
nobody knows.
"""

from dataclasses import dataclass

from workloads.plan.plan import Load, Plan
from workloads.verdict.figures import ALL_CALLS
from workloads.verdict.result import (
    FaultFigures,
    Latency,
    OperationFigures,
    OperationOutcome,
    Resilience,
    StageFigures,
)

SETTLED = "warm-up settled"
P95, RATE, SINGLE = "p95", "rate", "single"
BEGUN, SENT = "planned calls sent", "spans sent by clients"


@dataclass(frozen=True)
class Outcome:
    """What became of an objective, in words; `met` None: undecided."""

    met: bool | None
    message: str
    objective: str
    """Which objective."""


def within(plan: Plan, stage: StageFigures) -> bool:
    """Whether every objective that holds for each stage of a climb is met in this one."""
    calls = stage.calls
    failed = calls.errors / calls.count if calls.count else 1.0
    value = counted(calls).p95_ms
    return (
        failed <= plan.objectives.error_rate
        and value is not None
        and value <= plan.objectives.p95_ms
    )


def outcomes(
    plan: Plan,
    stage: StageFigures,
    operations: list[OperationFigures],
    resilience: Resilience | None,
    single: list[OperationOutcome],
) -> list[Outcome]:
    """Say of each objective whether the judged stage and the faults after it meet it.

    `single` is what became of the objectives of single operations (`per_operation.judge`).
    """
    return [
        *_begun(plan, stage),
        *_sent(stage),
        *_p95(plan, stage, operations),
        _rate(plan, stage),
        *(Outcome(one.met, one.message, SINGLE if one.by_name else "") for one in single),
        *broken(resilience),
    ]


def counted(calls: OperationFigures) -> Latency:
    """The latency that the objectives are about: of planned calls, from the planned time on."""
    return calls.response_time or calls


def load_of(stage: StageFigures) -> str:
    """Say which load a stage had, as `8 users`."""
    match stage.stage.load:
        case Load.OPEN:
            return f"{stage.stage.rate:.1f} planned calls/s"
        case Load.BURST:
            return f"{stage.stage.users} calls at once"
    return f"{stage.stage.users} {'user' if stage.stage.users == 1 else 'users'}"


def by_generator(stage: StageFigures) -> str:
    """Say how late the generator was; empty where it was not."""
    late = [gate for gate in stage.gates if gate.one_sided and gate.passed is False]
    return "; ".join(f"{gate.name}: {gate.measured}, the limit is {gate.limit}" for gate in late)


def settled(stage: StageFigures) -> bool:
    """Whether both halves of a stage are alike."""
    return all(gate.passed is not False for gate in stage.gates if gate.name == SETTLED)


def _begun(plan: Plan, stage: StageFigures) -> list[Outcome]:
    if not stage.dropped_calls:
        return []
    planned = stage.dropped_calls + stage.calls.count
    said = (
        f"{stage.dropped_calls} of {planned} planned calls were never sent "
        f"at {load_of(stage)}, not even in the {plan.profile.finish_s:g} s after it: all "
        f"{stage.stage.users} users were waiting for answers. Plan a lower rate, or change what is "
        "named below."
    )
    return [Outcome(None if stage.bounded else False, said, BEGUN)]


def _sent(stage: StageFigures) -> list[Outcome]:
    """Whether clients sent every span that they were given."""
    traces = stage.traces
    if traces is None or not (traces.dropped_spans or traces.dropped_traces):
        return []
    said = (
        f"Clients threw away {traces.dropped_spans} spans, and of {traces.dropped_traces} traces "
        f"what there was to say of them, at {load_of(stage)}: nobody is told. Plan a lower rate, "
        "or change what is named below."
    )
    return [Outcome(None if stage.bounded else False, said, SENT)]


def _p95(plan: Plan, stage: StageFigures, operations: list[OperationFigures]) -> list[Outcome]:
    """Of a stage that had not settled, both halves have to agree."""
    aim, value = plan.objectives.p95_ms, counted(stage.calls).p95_ms
    if value is None:
        return [Outcome(None, f"{stage.calls.count} API calls are too few for a p95.", P95)]
    halves = [] if settled(stage) else [half.p95_ms for half in stage.halves]
    values = [value, *(half for half in halves if half is not None)]
    if all(one <= aim for one in values):
        return [Outcome(True, f"p95 {'≤ ' if stage.bounded else ''}{value:.0f} ms", P95)]
    slowest = max(
        (row for row in operations if row.type == "call" and row.name != ALL_CALLS),
        key=lambda row: row.p95_ms or row.max_ms or 0.0,
        default=None,
    )
    said = (
        f"p95 of API calls is {value:.0f} ms with {load_of(stage)}; the objective is {aim:.0f} ms."
    )
    if slowest:
        said += f" Slowest: {slowest.name} (max {slowest.max_ms or 0:.0f} ms)."
    said += " Use fewer users, or change what is named below."
    if stage.generator_delay_ms is not None and all(
        one - stage.generator_delay_ms > aim for one in values
    ):
        return [Outcome(False, said, P95)]
    return [Outcome(None, f"{said} {_why_undecided(stage, halves)}", P95)]


def _why_undecided(stage: StageFigures, halves: list[float | None]) -> str:
    if halves:
        each = " and ".join("unknown" if half is None else f"{half:.0f} ms" for half in halves)
        return f"Its halves have {each}: more time may tell."
    if stage.generator_delay_ms is None:
        return "How late the generator was is not known."
    return f"The generator itself may have added {stage.generator_delay_ms:.0f} ms."


def _rate(plan: Plan, stage: StageFigures) -> Outcome:
    """The rate of a closed load is also the generator's: what it took between calls is told apart.

    By Little's law users who wait for the server all the time make `users / in_flight` times the
    calls that these made. Trainers compute by nature: of them that rate is the one to be reached.
    """
    aim, rate = plan.objectives.min_rate, stage.calls.rate
    # How many arrivals of an open load fall into each half is by chance.
    halves = [] if settled(stage) or stage.stage.load is not Load.CLOSED else stage.halves
    values = [rate, *(half.rate for half in halves)]
    if min(values) >= aim:
        return Outcome(True, f"{'≥ ' if stage.bounded else ''}{rate:.0f} API calls/s", RATE)
    said = (
        f"{rate:.1f} API calls/s with {load_of(stage)}; the objective is {aim:.1f}/s. See which "
        "call takes the time in the table."
    )
    if stage.stage.load is not Load.CLOSED or not stage.in_flight:
        return Outcome(False, said, RATE)
    possible = rate * max(1.0, stage.stage.users / stage.in_flight)
    if possible < aim:
        return Outcome(False, said, RATE)
    if plan.computes:
        share = 1 - stage.in_flight / stage.stage.users
        return Outcome(
            True,
            f"{rate:.1f} API calls/s while computing took {share:.0%} of the trainers' time, "
            f"{possible:.0f}/s without it",
            RATE,
        )
    return Outcome(
        None if stage.bounded or not settled(stage) else False,
        f"{said} Without what the generator took itself it may be {possible:.1f}/s.",
        RATE,
    )


def broken(resilience: Resilience | None) -> list[Outcome]:
    """The objectives of resilience that were missed."""
    if resilience is None:
        return []
    late = [gate for gate in resilience.gates if gate.one_sided and gate.passed is False]
    missed = None if late else False
    outcomes = []
    for fault in resilience.faults:
        name = named(fault)
        for path, outage in fault.affected_outages.items():
            if (met := outage.within(fault.outage_limit_s)) is not True:
                outcomes.append(
                    Outcome(
                        missed if met is False else None,
                        f"{name}: {f'{path}: ' if path else ''}outage of {outage} s; the "
                        f"objective is {fault.outage_limit_s:g} s. Clients saw: {seen(fault)}.",
                        name,
                    )
                )
        if fault.failed > fault.error_rate_limit * fault.calls:
            outcomes.append(
                Outcome(
                    False,
                    f"{name}: {fault.failed} of {fault.calls} calls failed; the objective allows "
                    f"{fault.error_rate_limit:.0%}. Clients saw: {seen(fault)}.",
                    name,
                )
            )
        outcomes += _of_traces(name, fault, missed)
        if fault.recovery_time_s is None:
            outcomes.append(
                Outcome(
                    missed,
                    f"{name}: service was not restored for ten seconds in a row "
                    f"within {fault.observed_s:.0f} s of the injection. Clients saw: "
                    f"{seen(fault)}. Give more time with --set patience_s=…, or see the "
                    "timeline of the report.",
                    name,
                )
            )
        elif fault.recovery_time_s > fault.recovery_time_limit_s:
            outcomes.append(
                Outcome(
                    missed,
                    f"{name}: service was restored only {fault.recovery_time_s:.1f} s after "
                    f"it was healed; the objective is {fault.recovery_time_limit_s:g} s.",
                    name,
                )
            )
    return outcomes


def _of_traces(name: str, fault: FaultFigures, missed: bool | None) -> list[Outcome]:
    """What exports missed; what clients dropped counts as exports that failed."""
    traces = fault.traces
    if traces is None:
        return []
    outcomes = []
    if traces.not_sent > fault.error_rate_limit * traces.planned:
        outcomes.append(
            Outcome(
                False,
                f"{name}: of {traces.planned} exports of traces {traces.failed} failed and clients "
                f"dropped {traces.dropped_exports}; the objective allows "
                f"{fault.error_rate_limit:.0%}. No program hears of it. Clients saw: "
                f"{said_of(traces.client_errors)}.",
                name,
            )
        )
    if traces.recovery_time_s is None:
        outcomes.append(
            Outcome(
                missed,
                f"{name}: up to {traces.most_unsent} spans and traces waited in clients, and not "
                f"all arrived again within {fault.observed_s:.0f} s of the injection. Give more "
                "time with --set patience_s=…, or plan a lower rate.",
                name,
            )
        )
    elif traces.recovery_time_s > traces.recovery_time_limit_s:
        outcomes.append(
            Outcome(
                missed,
                f"{name}: all traces arrived again only {traces.recovery_time_s:.1f} s after it "
                f"was healed; the objective is {traces.recovery_time_limit_s:g} s.",
                name,
            )
        )
    return outcomes


def named(fault: FaultFigures) -> str:
    """Name a fault with its component."""
    return f"{fault.fault} ({fault.component})" if fault.component else fault.fault


def seen(fault: FaultFigures) -> str:
    """Say what the clients saw of a fault."""
    return said_of(fault.client_errors)


def said_of(errors: dict[str, int]) -> str:
    """Say how often each was seen."""
    return ", ".join(f"{word} {count} times" for word, count in errors.items()) or "nothing"
