"""The verdict: first facts that no gate can excuse, then the gates, then the objectives."""

from workloads.figures import ALL_CALLS
from workloads.plan import Plan
from workloads.result import (
    Durability,
    DurabilityVerdict,
    Gate,
    Judgement,
    OperationFigures,
    Verdict,
)


def judge(
    plan: Plan,
    operations: list[OperationFigures],
    errors: dict[str, int],
    gates: list[Gate],
    durability: Durability,
) -> Verdict:
    """Judge a run.

    Lost data and failed calls are bad whatever the gates say; then a gate that did not pass or
    data that was never read makes the result invalid; then speed decides.
    """
    calls = next(row for row in operations if row.name == ALL_CALLS)
    facts = [*_durability(durability), *_failures(plan, calls, errors)]
    if facts:
        return Verdict(judgement=Judgement.BAD, reasons=facts)
    doubts = [
        f"Does not count: {gate.name}: {gate.measured}, the limit is {gate.limit}. {gate.remedy}"
        for gate in gates
        if gate.passed is False
    ]
    if durability.verdict is DurabilityVerdict.UNKNOWN:
        unread = sum(k.unread for k in durability.kinds.values())
        why = f" ({durability.read_errors[0]})" if durability.read_errors else ""
        doubts.append(f"Does not count: {unread} acknowledged things were never read back{why}.")
    if doubts:
        return Verdict(judgement=Judgement.INVALID, reasons=doubts)
    slow = _speed(plan, operations, calls)
    if slow:
        return Verdict(judgement=Judgement.BAD, reasons=slow)
    return Verdict(judgement=Judgement.GOOD, reasons=_praise(plan, calls, durability))


def _durability(durability: Durability) -> list[str]:
    if durability.verdict is not DurabilityVerdict.FAIL:
        return []
    reasons = []
    for name, sets in durability.kinds.items():
        for what in ("lost", "unexpected", "duplicates"):
            if number := getattr(sets, what):
                word = "duplicate" if what == "duplicates" else what
                first = next(f for f in durability.findings if f.startswith(f"{word}: {name} "))
                known = sets.acknowledged
                reasons.append(f"{name}: {number} {word}, {known} acknowledged. First: {first}.")
    return reasons


def _failures(plan: Plan, calls: OperationFigures, errors: dict[str, int]) -> list[str]:
    allowed = plan.objectives.error_rate
    if not calls.count or calls.errors / calls.count <= allowed:
        return []
    said = next(iter(errors), "")
    return [
        f"{calls.errors} of {calls.count} calls failed ({calls.errors / calls.count:.2%}; the "
        f"objective allows {allowed:.2%}). Most often: {said}. Look at the tracking server's log."
    ]


def _speed(plan: Plan, operations: list[OperationFigures], calls: OperationFigures) -> list[str]:
    aims = plan.objectives
    reasons = []
    if calls.p95_ms is not None and calls.p95_ms > aims.p95_ms:
        slowest = max(
            (o for o in operations if o.type == "call" and o.name != ALL_CALLS),
            key=lambda o: o.p95_ms or o.max_ms or 0.0,
        )
        reasons.append(
            f"p95 of API calls is {calls.p95_ms:.0f} ms with {plan.profile.users} users; the "
            f"objective is {aims.p95_ms:.0f} ms. Slowest: {slowest.name} "
            f"(max {slowest.max_ms or 0:.0f} ms). Use fewer users, or more workers or replicas."
        )
    if calls.rate < aims.min_rate:
        reasons.append(
            f"{calls.rate:.1f} API calls/s with {plan.profile.users} users; the objective is "
            f"{aims.min_rate:.1f}/s. See which call takes the time in the table."
        )
    return reasons


def _praise(plan: Plan, calls: OperationFigures, durability: Durability) -> list[str]:
    kept = sum(k.acknowledged for k in durability.kinds.values())
    aims = plan.objectives
    return [
        f"Nothing lost: all {kept} acknowledged things were read back and are as written.",
        f"{calls.errors} of {calls.count} API calls failed.",
        f"{plan.profile.users} trainers at once: {calls.rate:.0f} API calls/s (objective ≥ "
        f"{aims.min_rate:.0f}), p95 {calls.p95_ms or 0:.0f} ms (objective ≤ {aims.p95_ms:.0f}).",
    ]
