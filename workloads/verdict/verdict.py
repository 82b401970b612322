"""The verdict: violations that no gate can excuse, then what is certain, then what is doubtful.

- *Bad*: a violation, or an objective that was missed by more than the generator could have caused.
- *Invalid*: something was not measured, or an objective was missed and nobody knows by whom.
- *Good*: everything else; figures of a late generator are bounds then, and are told as such.
"""

from workloads.checkers import kinds, objectives
from workloads.checkers.objectives import Outcome, counted, load_of
from workloads.plan.plan import Load, Plan
from workloads.verdict.result import (
    Bottleneck,
    Capacity,
    Durability,
    DurabilityVerdict,
    Gate,
    Judgement,
    OperationFigures,
    OperationOutcome,
    Resilience,
    StageFigures,
    Verdict,
)


def judge(
    plan: Plan,
    violations: list[str],
    stages: list[StageFigures],
    judged: StageFigures | None,
    operations: list[OperationFigures],
    gates: list[Gate],
    durability: Durability,
    capacity: Capacity | None,
    bottleneck: Bottleneck | None,
    resilience: Resilience | None = None,
    single: list[OperationOutcome] | None = None,
) -> Verdict:
    """Judge a run; `operations` are those of the stage that decides."""
    climb = [*_climb(capacity, stages), *_shares(capacity, judged)]
    hint = [] if resilience else _hint(bottleneck)
    if violations:
        return Verdict(judgement=Judgement.BAD, reasons=[*violations, *climb, *hint])
    own = [*gates, *(resilience.gates if resilience else []), *(judged.gates if judged else [])]
    doubts = [_doubt(gate) for gate in own if decides(gate)]
    outcomes = (
        objectives.outcomes(plan, judged, operations, resilience, single or []) if judged else []
    )
    missed = [outcome.message for outcome in outcomes if outcome.met is False]
    if judged is None:
        doubts.append("Invalid: nothing was measured.")
    if missed and not any(gate.passed is False for gate in (*gates, *_took(resilience))):
        return Verdict(judgement=Judgement.BAD, reasons=[*missed, *climb, *hint])
    if durability.verdict is DurabilityVerdict.UNKNOWN:
        unread = sum(k.unread for k in durability.kinds.values())
        why = f" ({durability.read_errors[0]})" if durability.read_errors else ""
        doubts.append(f"Invalid: {unread} acknowledged records were never read back{why}.")
    doubts += [f"Undecided: {outcome.message}" for outcome in outcomes if outcome.met is None]
    if doubts or judged is None:
        late = objectives.by_generator(judged) if judged else ""
        busy = [f"The generator was late ({late})."] if late else []
        reasons = list(dict.fromkeys([*doubts, *busy]))
        return Verdict(judgement=Judgement.INVALID, reasons=reasons)
    praise = [*_praise(plan, judged, outcomes, stages, durability), *_stood(resilience)]
    return Verdict(judgement=Judgement.GOOD, reasons=[*praise, *climb, *hint])


def decides(gate: Gate) -> bool:
    """Whether a gate leaves a run in doubt whatever its objectives say.

    That the halves of a stage differ is in its outcomes: both have to agree.
    """
    return gate.passed is False and not gate.one_sided and gate.name != objectives.SETTLED


def _took(resilience: Resilience | None) -> list[Gate]:
    """Gates of the faults; where one did not take, what was missed under it is nobody's.

    What was missed stays missed where not everything was asked for besides.
    """
    own = resilience.gates if resilience else []
    return [gate for gate in own if not gate.one_sided and gate.name != kinds.GATE]


def _doubt(gate: Gate) -> str:
    return f"Invalid: {gate.name}: {gate.measured}, the limit is {gate.limit}. {gate.remedy}"


def _stood(resilience: Resilience | None) -> list[str]:
    reasons = []
    for fault in resilience.faults if resilience else []:
        limit = "" if fault.outage_limit_s is None else f" (objective ≤ {fault.outage_limit_s:g} s)"
        outages = ", ".join(
            f"{path} {outage}".strip() for path, outage in fault.affected_outages.items()
        )
        reasons.append(
            f"{objectives.named(fault)}: outage in s: {outages}{limit}; service restored after "
            f"{fault.recovered_s or 0:.0f} s; {fault.failed} of {fault.calls} calls failed, "
            f"{fault.succeeded_after_retry} succeeded after a retry."
        )
        if traces := fault.traces:
            reasons.append(
                f"{objectives.named(fault)}: {traces.exports} exports of traces, "
                f"{traces.failed} failed, {traces.succeeded_after_retry} succeeded after a retry; "
                f"clients dropped {traces.dropped_spans} spans. Up to {traces.most_unsent} waited; "
                f"all arrived again after {traces.recovered_s or 0:.0f} s."
            )
    return reasons


def _praise(
    plan: Plan,
    judged: StageFigures,
    outcomes: list[Outcome],
    stages: list[StageFigures],
    durability: Durability,
) -> list[str]:
    kept = sum(k.acknowledged for k in durability.kinds.values())
    aims, calls = plan.objectives, judged.calls
    who = f"{judged.stage.users} trainers at once" if plan.computes else load_of(judged)
    count = sum(stage.calls.count for stage in stages)
    failed = sum(stage.calls.errors for stage in stages)
    again = sum(stage.calls.retried for stage in stages)
    retried = f", {again} succeeded after a retry" if again else ""
    met = {outcome.objective: outcome.message for outcome in outcomes}
    orphans = [(sets.orphans, kind) for kind, sets in durability.kinds.items() if sets.orphans]
    said = [
        f"Nothing lost: all {kept} acknowledged records were read back and are as written.",
        *(
            f"Orphans, of creates whose answer was lost: {number} of kind {kind}."
            for number, kind in orphans
        ),
        f"{failed} of {count} API calls failed{retried}.",
        f"{who}: {met[objectives.RATE]} (objective ≥ {aims.min_rate:.0f}), "
        f"{met[objectives.P95]} (objective ≤ {aims.p95_ms:.0f}).",
    ]
    said += [outcome.message for outcome in outcomes if outcome.objective == objectives.SINGLE]
    latency = counted(calls)
    high = latency.p95_high_ms
    if latency.p95_low_ms is not None and (high is None or high > aims.p95_ms):
        to = "no bound" if high is None else f"{high:.0f} ms"
        said.append(
            f"The objective lies within the p95's 95 % interval ({latency.p95_low_ms:.0f} ms to "
            f"{to}): another run may say otherwise. Give more time with --duration."
        )
    if late := objectives.by_generator(judged):
        said.append(f"The generator was late ({late}): the server does this at least.")
    if not objectives.settled(judged):
        each = " and ".join(f"{half.p95_ms or 0:.0f} ms" for half in judged.halves)
        said.append(f"It had not settled: its halves have a p95 of {each}, and both are within.")
    return said


def _climb(capacity: Capacity | None, stages: list[StageFigures]) -> list[str]:
    if capacity is None:
        return []
    knee = capacity.knee
    climb = [stage for stage in stages if stage.stage.load is Load.CLOSED]
    by_users = {stage.stage.users: stage for stage in climb}
    ended = next((stage for stage in climb if not stage.valid or stage.bounded), None)
    reasons = []
    if knee.users is not None and knee.reached:
        between = ""
        if (knee.min_users, knee.max_users) != (knee.users, knee.users):
            most = f"{knee.max_users} users" if knee.max_users else "more users than were tried"
            between = f" By the rates' intervals it may be at {knee.min_users} to {most}."
        reasons.append(
            f"The knee is at {load_of(by_users[knee.users])} with {knee.rate:.0f} calls/s: up to "
            f"{_tried(climb, ended)} users bring no more work done, and only make each other wait."
            f"{between}"
        )
    elif ended is not None:
        gate = next(gate for gate in ended.gates if gate.passed is False)
        reasons.append(
            f"No knee can be told from {ended.stage.name} on: the generator was the limit there "
            f"({gate.name}: {gate.measured}). At least {capacity.rate_at_least:.0f} calls/s were "
            f"served. {gate.remedy}"
        )
    elif knee.users is not None:
        reasons.append(
            f"No knee up to {load_of(by_users[knee.users])} ({knee.rate:.0f} calls/s): more may "
            "bring more. Give more with --users."
        )
    if (users := capacity.users_within_objectives) and users in by_users:
        p95 = by_users[users].calls.p95_ms
        reasons.append(
            f"Within the objectives: up to {load_of(by_users[users])} at once who log without a "
            f"pause, at p95 {p95 or 0:.0f} ms."
        )
    if ended is not None and knee.reached:
        first = next(gate for gate in ended.gates if gate.passed is False)
        names = ", ".join(s.stage.name for s in climb[climb.index(ended) :])
        reasons.append(f"Invalid stages: {names} ({first.name}: {first.measured}).")
    return reasons


def _shares(capacity: Capacity | None, judged: StageFigures | None) -> list[str]:
    """An open load may be planned as a share of a knee that was not reached."""
    if capacity is None or capacity.knee.reached or judged is None:
        return []
    if judged.stage.load is not Load.OPEN:
        return []
    return [
        f"So {judged.stage.name} is a share of what was served at least, and may be less of what "
        "the stack can serve."
    ]


def _tried(climb: list[StageFigures], ended: StageFigures | None) -> int:
    """Most users of the stages that the knee was looked for in."""
    last = climb.index(ended) if ended else len(climb)
    return max(stage.stage.users for stage in climb[:last])


def _hint(bottleneck: Bottleneck | None) -> list[str]:
    if bottleneck is None:
        return []
    evidence = "; ".join(bottleneck.evidence)
    if bottleneck.resource is None:
        return [f"No bottleneck was seen: {evidence}. {bottleneck.remedy}"]
    return [f"Bottleneck: {bottleneck.resource} ({evidence}). {bottleneck.remedy}"]
