"""The verdict: first facts that no gate can excuse, then the gates, then the objectives."""

from workloads.figures import ALL_CALLS
from workloads.plan import Load, Plan
from workloads.result import (
    Bottleneck,
    Capacity,
    Durability,
    DurabilityVerdict,
    FaultFigures,
    Gate,
    Judgement,
    Latency,
    OperationFigures,
    Resilience,
    StageFigures,
    Verdict,
)


def within(plan: Plan, stage: StageFigures) -> bool:
    """Whether every objective holds in this stage."""
    calls, aims = stage.calls, plan.objectives
    p95 = _counted(stage.calls).p95_ms
    wrong = calls.errors / calls.count if calls.count else 1.0
    return wrong <= aims.error_rate and p95 is not None and p95 <= aims.p95_ms


def judge(
    plan: Plan,
    stages: list[StageFigures],
    judged: StageFigures | None,
    operations: list[OperationFigures],
    errors: dict[str, int],
    gates: list[Gate],
    durability: Durability,
    capacity: Capacity | None,
    bottleneck: Bottleneck | None,
    resilience: Resilience | None = None,
) -> Verdict:
    """Judge a run.

    Lost data and failed calls are bad whatever the gates say; then a gate that did not pass or
    data that was never read makes the result invalid; then speed decides.
    """
    facts = [*_durability(durability), *_failures(plan, stages, operations, errors)]
    hint = [] if resilience else _hint(bottleneck)
    gates = [*gates, *(resilience.gates if resilience else [])]
    if facts:
        return Verdict(judgement=Judgement.BAD, reasons=[*facts, *hint])
    doubts = [_doubt(gate) for gate in gates if gate.passed is False]
    if judged is None:
        doubts.append("Does not count: nothing was measured.")
    else:
        doubts += [_doubt(gate) for gate in judged.gates if gate.passed is False]
    if capacity and judged and judged.stage.load is Load.CLOSED and not capacity.knee.reached:
        doubts += _no_knee(stages)
    if durability.verdict is DurabilityVerdict.UNKNOWN:
        unread = sum(k.unread for k in durability.kinds.values())
        why = f" ({durability.read_errors[0]})" if durability.read_errors else ""
        doubts.append(f"Does not count: {unread} acknowledged things were never read back{why}.")
    if doubts or judged is None:
        return Verdict(judgement=Judgement.INVALID, reasons=list(dict.fromkeys(doubts)))
    slow = [*_speed(plan, judged, operations), *_broken(resilience)]
    if slow:
        return Verdict(judgement=Judgement.BAD, reasons=[*slow, *_climb(capacity, stages), *hint])
    praise = [*_praise(plan, judged, stages, durability), *_stood(resilience)]
    return Verdict(judgement=Judgement.GOOD, reasons=[*praise, *_climb(capacity, stages), *hint])


def _no_knee(stages: list[StageFigures]) -> list[str]:
    """A climb that the generator ended tells of no knee: the server might have had one there."""
    ended = next((stage for stage in stages if not stage.counts), None)
    if ended is None:
        return []
    gate = next(gate for gate in ended.gates if gate.passed is False)
    said = f"No knee can be told, as the climb does not count from {ended.stage.name} on."
    return [f"{said} {_doubt(gate)}"]


def _doubt(gate: Gate) -> str:
    return f"Does not count: {gate.name}: {gate.measured}, the limit is {gate.limit}. {gate.remedy}"


def _durability(durability: Durability) -> list[str]:
    if durability.verdict is not DurabilityVerdict.FAIL:
        return []
    reasons = []
    for name, sets in durability.kinds.items():
        for what in ("lost", "unexpected", "duplicates", "differing"):
            if number := getattr(sets, what):
                word = "duplicate" if what == "duplicates" else what
                known = sets.acknowledged
                begin = f"{'differs' if what == 'differing' else word}: {name} "
                found = [f for f in durability.findings if f.startswith(begin)]
                first = f" First: {found[0]}." if found else ""
                reasons.append(f"{name}: {number} {word}, {known} acknowledged.{first}")
    return reasons


def _failures(
    plan: Plan,
    stages: list[StageFigures],
    operations: list[OperationFigures],
    errors: dict[str, int],
) -> list[str]:
    allowed = plan.objectives.error_rate
    said = next(iter(errors), "")
    count = sum(stage.calls.count for stage in stages)
    failed = sum(stage.calls.errors for stage in stages)
    if count and failed / count > allowed:
        where = ""
        if len(stages) > 1:
            first = next(stage for stage in stages if stage.calls.errors)
            where = f", first at {first.stage.name}"
        return [
            f"{failed} of {count} calls failed{where} ({failed / count:.2%}; the objective allows "
            f"{allowed:.2%}). Most often: {said}. Look at the tracking server's log."
        ]
    steps = [row for row in operations if row.type == "step"]
    count, failed = sum(row.count for row in steps), sum(row.errors for row in steps)
    if count and failed / count > allowed:
        return [
            f"{failed} of {count} steps failed although their calls did not ({failed / count:.2%}; "
            f"the objective allows {allowed:.2%}). Most often: {said}."
        ]
    return []


def _counted(calls: OperationFigures) -> Latency:
    """The latency that the objectives are about: of planned calls, from the planned time on."""
    return calls.intended or calls


def _load(stage: StageFigures) -> str:
    match stage.stage.load:
        case Load.OPEN:
            return f"{stage.stage.rate:.1f} planned calls/s"
        case Load.BURST:
            return f"{stage.stage.users} calls at once"
    return f"{stage.stage.users} {'user' if stage.stage.users == 1 else 'users'}"


def _speed(plan: Plan, judged: StageFigures, operations: list[OperationFigures]) -> list[str]:
    aims, calls = plan.objectives, judged.calls
    p95 = _counted(calls).p95_ms
    reasons = []
    if judged.unserved:
        reasons.append(
            f"{judged.unserved} of {judged.unserved + calls.count} planned calls were never begun "
            f"at {_load(judged)}: all {judged.stage.users} users were waiting for answers. Plan a "
            "lower rate, or change what is named below."
        )
    if p95 is not None and p95 > aims.p95_ms:
        slowest = max(
            (o for o in operations if o.type == "call" and o.name != ALL_CALLS),
            key=lambda o: o.p95_ms or o.max_ms or 0.0,
        )
        reasons.append(
            f"p95 of API calls is {p95:.0f} ms with {_load(judged)}; the objective is "
            f"{aims.p95_ms:.0f} ms. Slowest: {slowest.name} (max {slowest.max_ms or 0:.0f} ms). "
            "Use fewer users, or change what is named below."
        )
    if calls.rate < aims.min_rate:
        reasons.append(
            f"{calls.rate:.1f} API calls/s with {_load(judged)}; the objective is "
            f"{aims.min_rate:.1f}/s. See which call takes the time in the table."
        )
    return reasons


def _broken(resilience: Resilience | None) -> list[str]:
    """What users waited for longer than the objectives allow."""
    reasons = []
    for fault in resilience.faults if resilience else []:
        name = _struck(fault)
        if fault.gap_limit_s is not None and fault.gap_s > fault.gap_limit_s:
            reasons.append(
                f"{name}: {fault.gap_s:.2f} s without an answer; the objective is "
                f"{fault.gap_limit_s:g} s. The clients saw: {_saw(fault)}."
            )
        if fault.failed > fault.failed_share_limit * fault.calls:
            reasons.append(
                f"{name}: {fault.failed} of {fault.calls} calls failed; the objective allows "
                f"{fault.failed_share_limit:.0%}. The clients saw: {_saw(fault)}."
            )
        if fault.served_s is None:
            reasons.append(
                f"{name}: not all was as before for ten seconds in a row, {fault.watched_s:.0f} s "
                f"after the injection. The clients saw: {_saw(fault)}. Give more time with "
                "--set patience_s=…, or see the timeline of the report."
            )
        elif fault.served_s > fault.served_limit_s:
            reasons.append(
                f"{name}: all was as before only {fault.served_s:.1f} s after it was healed; the "
                f"objective is {fault.served_limit_s:g} s."
            )
    return reasons


def _stood(resilience: Resilience | None) -> list[str]:
    reasons = []
    for fault in resilience.faults if resilience else []:
        limit = "" if fault.gap_limit_s is None else f" (objective ≤ {fault.gap_limit_s:g})"
        reasons.append(
            f"{_struck(fault)}: {fault.gap_s:.2f} s without an answer{limit}, all as before after "
            f"{fault.recovery_s or 0:.0f} s; {fault.failed} of {fault.calls} calls failed, "
            f"{fault.mended} were mended by a retry."
        )
    return reasons


def _struck(fault: FaultFigures) -> str:
    return f"{fault.fault} ({fault.component})" if fault.component else fault.fault


def _saw(fault: FaultFigures) -> str:
    return ", ".join(f"{word} {count} times" for word, count in fault.saw.items()) or "nothing"


def _praise(
    plan: Plan, judged: StageFigures, stages: list[StageFigures], durability: Durability
) -> list[str]:
    kept = sum(k.acknowledged for k in durability.kinds.values())
    aims = plan.objectives
    calls = judged.calls
    who = _load(judged)
    if plan.computes:
        who = f"{judged.stage.users} trainers at once"
    count = sum(stage.calls.count for stage in stages)
    failed = sum(stage.calls.errors for stage in stages)
    return [
        f"Nothing lost: all {kept} acknowledged things were read back and are as written.",
        f"{failed} of {count} API calls failed.",
        f"{who}: {calls.rate:.0f} API calls/s (objective ≥ {aims.min_rate:.0f}), p95 "
        f"{_counted(calls).p95_ms or 0:.0f} ms (objective ≤ {aims.p95_ms:.0f}).",
    ]


def _climb(capacity: Capacity | None, stages: list[StageFigures]) -> list[str]:
    if capacity is None or capacity.knee.users is None:
        return []
    knee = capacity.knee
    by_users = {stage.stage.users: stage for stage in stages if stage.stage.load is Load.CLOSED}
    most = max(by_users)
    at_knee = _load(by_users[capacity.knee.users])
    reasons = []
    if knee.reached:
        reasons.append(
            f"The knee is at {at_knee} with {knee.rate:.0f} calls/s: up to "
            f"{most} users bring no more work done, and only make each other wait."
        )
    else:
        reasons.append(
            f"No knee up to {at_knee} ({knee.rate:.0f} calls/s): more may bring more. "
            "Give more with --users."
        )
    if (users := capacity.users_within_objectives) and users in by_users:
        p95 = by_users[users].calls.p95_ms
        reasons.append(
            f"Within the objectives: up to {_load(by_users[users])} at once who log without a "
            f"pause, at p95 {p95 or 0:.0f} ms."
        )
    ignored = [stage for stage in stages if not stage.counts]
    if ignored:
        first = next(gate for gate in ignored[0].gates if gate.passed is False)
        names = ", ".join(stage.stage.name for stage in ignored)
        reasons.append(f"Not counted: {names} ({first.name}: {first.measured}).")
    return reasons


def _hint(bottleneck: Bottleneck | None) -> list[str]:
    if bottleneck is None:
        return []
    evidence = "; ".join(bottleneck.evidence)
    if bottleneck.what is None:
        return [f"Nothing that was looked at was at its limit: {evidence}. {bottleneck.remedy}"]
    return [f"What gave out first: {bottleneck.what} ({evidence}). {bottleneck.remedy}"]
