"""Violations, which no gate can excuse: what was lost, wrong, failed, retried, or ended."""

from collections.abc import Callable

from workloads.checkers.evidence import Evidence
from workloads.history.record import Record
from workloads.verdict.result import DurabilityVerdict

FEWEST_RETRIES = 3
"""Retried calls below which their share says nothing: one may meet a closed connection."""


def violations(evidence: Evidence) -> list[str]:
    """Say what makes a run bad, whatever the figures are."""
    return [sentence for check in CHECKS for sentence in check(evidence)]


def _ended_early(evidence: Evidence) -> list[str]:
    """What --fail-fast saw: all of the load might have been judged otherwise than its begin."""
    record = evidence.record
    line = record.ended_early
    if line is None:
        return []
    at_ns = line["mono_ns"]
    where = "in a warm-up"
    for window in record.windows:
        if window.begin_ns <= at_ns <= window.end_ns:
            where = f"{(at_ns - window.begin_ns) / 1e9:.1f} s into the load ({window.stage.name})"
    return [f"Ended early by --fail-fast, {where}: {line['why']}"]


def _durability(evidence: Evidence) -> list[str]:
    durability = evidence.durability
    if durability.verdict is not DurabilityVerdict.FAIL:
        return []
    reasons = []
    for name, sets in durability.kinds.items():
        for what in ("lost", "unexpected", "duplicates", "differing"):
            if number := getattr(sets, what):
                word = "duplicate" if what == "duplicates" else what
                known = sets.acknowledged
                begin = f"{'differs' if what == 'differing' else word}: {name} "
                sentences = [f for f in durability.findings if f.startswith(begin)]
                first = f" First: {sentences[0]}." if sentences else ""
                reasons.append(f"{name}: {number} {word}, {known} acknowledged.{first}")
    return reasons


def _wrong_answers(evidence: Evidence) -> list[str]:
    """Wrong answers count whenever they came: in the warm-up, under a fault and after it, too."""
    wrong = evidence.record.wrong
    return [f"{len(wrong)} answers were wrong. First: {wrong[0]}."] if wrong else []


def _stale_reads(evidence: Evidence) -> list[str]:
    """Reads that showed what was no more, or what never was."""
    freshness = evidence.freshness
    if not freshness.findings:
        return []
    said = []
    if freshness.stale:
        longest = f"up to {freshness.max_staleness_s or 0:.3f} s after an acknowledgement"
        said.append(f"{freshness.stale} of {freshness.reads} reads were stale, {longest}")
    if freshness.unexpected:
        what = "showed what nobody had sent"
        said.append(f"{freshness.unexpected} of {freshness.reads} reads {what}")
    return [f"{'; '.join(said)}. First: {freshness.findings[0]}."]


def _failures(evidence: Evidence) -> list[str]:
    stages, errors = evidence.stages, evidence.errors
    allowed = evidence.record.plan.objectives.error_rate
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
    count, failed = evidence.steps
    if count and not evidence.record.wrong and failed / count > allowed:
        return [
            f"{failed} of {count} steps failed although their calls did not ({failed / count:.2%}; "
            f"the objective allows {allowed:.2%}). Most often: {said}."
        ]
    return []


def _retries(evidence: Evidence) -> list[str]:
    """Calls that succeeded only after a retry: users wait, and the next one may fail."""
    record, stages = evidence.record, evidence.stages
    allowed = record.plan.objectives.retried_rate
    count = sum(stage.calls.count for stage in stages)
    again = sum(stage.calls.retried for stage in stages)
    if again < FEWEST_RETRIES or again / count <= allowed:
        return []
    often = next(iter(record.retries), "")
    return [
        f"{again} of {count} calls had to be sent again by the client ({again / count:.2%}; the "
        f"objective allows {allowed:.2%}). Most often: {often}. Look at the tracking server's log."
    ]


def _ended_processes(evidence: Evidence) -> list[str]:
    """Server processes that ended without a fault."""
    gone = ended_processes(evidence.record)
    if not gone:
        return []
    return [
        f"{len(gone)} server processes ended during the load: {', '.join(gone)}. Find the reason "
        "in the tracking server's log; memory is the usual one."
    ]


def ended_processes(record: Record) -> list[str] | None:
    """Processes of the servers that were there before the load and not after; None: not seen."""
    seen = [look["processes"] for look in record.other.get("server", [])]
    if len(seen) != 2 or None in seen:
        return None
    before, after = ({f"{name} {pid}" for name in look for pid in look[name]} for look in seen)
    return sorted(before - after)


CHECKS: tuple[Callable[[Evidence], list[str]], ...] = (
    _ended_early,
    _durability,
    _wrong_answers,
    _stale_reads,
    _failures,
    _retries,
    _ended_processes,
)
"""Each returns a sentence for each violation; the first one is the verdict's first reason."""
