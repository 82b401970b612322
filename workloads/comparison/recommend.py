"""A recommendation from a person's needs: every answer names the run that it comes from."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from infra.outputs import Target
from workloads.comparison.load import Deployment, Saved
from workloads.comparison.needs import Loss, Needs
from workloads.comparison.quantities import MIB, counts
from workloads.result import DurabilityVerdict, FaultFigures, Judgement, Result

FAULTS = {
    Loss.REPLICA: ("replica-kill", "replica-freeze", "replica-stop"),
    Loss.ZONE: ("zone-cut",),
    Loss.DATABASE: ("postgres-kill", "postgres-restart", "postgres-freeze"),
    Loss.STORE: ("store-kill", "store-freeze", "nfs-restart", "nfs-freeze"),
    Loss.BALANCER: ("balancer-kill",),
}
"""Faults that stand for a loss; the first is the one to try."""

LIMITS = (
    "Every stack here has one PostgreSQL and one artifact store: zones protect what serves, not "
    "what is stored. Several zones with one database are no multi-AZ: take a managed database and "
    "bucket that are (docs/external-services.md), and back up.",
    "Everything ran on one machine, over loopback and bridges: no network between people and "
    "server, and load, servers and stores shared its processors. Ratios between stacks carry "
    "over further than times do.",
)


@dataclass(frozen=True)
class Answer:
    """Whether a stack meets one need; None where nothing that was measured says so."""

    need: str
    met: bool | None
    reason: str


@dataclass(frozen=True)
class Candidate:
    """A stack with its answers, and what has to be operated."""

    stack: str
    answers: list[Answer]
    components: int

    @property
    def refused(self) -> int:
        """Number of needs that it does not meet."""
        return sum(answer.met is False for answer in self.answers)

    @property
    def unknown(self) -> int:
        """Number of needs of which nothing is known."""
        return sum(answer.met is None for answer in self.answers)


@dataclass(frozen=True)
class Recommendation:
    """What to take, in words; candidates from the best on."""

    said: list[str]
    candidates: list[Candidate]
    limits: tuple[str, ...] = LIMITS


def recommend(saved: Saved, needs: Needs) -> Recommendation:
    """Recommend the stack that meets the needs with the least to operate."""
    found = [_candidate(stack, saved.of(stack), needs) for stack in saved.stacks]
    ranked = sorted(found, key=_rank)
    return Recommendation(_words(ranked), ranked)


def _rank(one: Candidate) -> tuple[bool, int, int, int]:
    """Best first; what could not be tried is last."""
    return not one.components, one.refused, one.unknown, one.components


def operated(target: Target) -> str:
    """Say what has to be operated, as `2 mlflow, nginx, postgres, minio`."""
    kinds = Counter(component.kind for component in target.components)
    return ", ".join(f"{n} {kind}" if n > 1 else kind for kind, n in sorted(kinds.items()))


def _words(ranked: list[Candidate]) -> list[str]:
    best = ranked[0]
    if best.refused:
        which = "; ".join(a.reason for a in best.answers if a.met is False)
        return [f"None of these stacks meets every need. Nearest is {best.stack}: {which}."]
    if best.unknown:
        which = "; ".join(a.reason for a in best.answers if a.met is None)
        return [f"Nothing speaks against {best.stack}, but not all of it was measured: {which}."]
    said = [f"Take {best.stack}: it meets every need, with {best.components} components to run."]
    said += [f"{answer.need}: {answer.reason}." for answer in best.answers]
    return said


def _candidate(stack: str, deployments: list[Deployment], needs: Needs) -> Candidate:
    runs = [run for one in deployments for run in one.runs.values()]
    target = next((one.target for one in deployments if one.target), None)
    if not runs:
        why = next((one.error for one in deployments if one.error), "none of its runs ended")
        return Candidate(stack, [Answer("can be tried", False, why)], 0)
    answers = [_kept(runs)]
    if needs.users:
        answers.append(_users(stack, runs, needs.users))
    if needs.artifact_bytes:
        answers.append(_artifact(stack, runs, needs.artifact_bytes))
    answers += [_survives(stack, runs, target, loss, needs) for loss in needs.must_survive]
    return Candidate(stack, answers, len(target.components) if target else 0)


def _kept(runs: list[Result]) -> Answer:
    need = "keeps what it acknowledged"
    lost = sum(kind.lost for run in runs for kind in run.durability.kinds.values())
    present = sum(kind.present for run in runs for kind in run.durability.kinds.values())
    if lost:
        return Answer(need, False, f"{lost} acknowledged things were lost")
    if any(run.durability.verdict is DurabilityVerdict.FAIL for run in runs):
        kinds = [kind for run in runs for kind in run.durability.kinds.values()]
        double, strange = sum(k.duplicates for k in kinds), sum(k.unexpected for k in kinds)
        return Answer(need, False, f"nothing lost, but {double} doubled, {strange} unexpected")
    if not runs or any(run.durability.verdict is not DurabilityVerdict.PASS for run in runs):
        return Answer(need, None, "not every run was read back as written")
    return Answer(need, True, f"all {present} things that were read back are as written")


def _users(stack: str, runs: list[Result], users: int) -> Answer:
    need = f"{users} users at once"
    climbs = [run.capacity for run in runs if run.capacity]
    most = [c.users_within_objectives for c in climbs if c.users_within_objectives]
    if most and min(most) >= users:
        return Answer(need, True, f"up to {min(most)} who log without a pause are served in time")
    if climbs and any(c.knee.reached for c in climbs):
        enough = min(most, default=0)
        return Answer(
            need, False, f"only up to {enough} who log without a pause are served in time"
        )
    held = [
        run
        for run in runs
        if run.plan.scenario == "metrics"
        and run.plan.profile.users >= users
        and run.verdict.judgement is not Judgement.INVALID
    ]
    if held:
        good = all(run.verdict.judgement is Judgement.GOOD for run in held)
        tried = held[0].plan.profile.users
        return Answer(need, good, f"{tried} who log without a pause: verdict {_judged(held)}")
    command = f"python -m workloads run --stack {stack} --scenario capacity"
    return Answer(need, None, f"no climb says how many it serves; measure it: {command}")


def _judged(runs: list[Result]) -> str:
    return ", ".join(dict.fromkeys(run.verdict.judgement.value for run in runs))


def _artifact(stack: str, runs: list[Result], size: int) -> Answer:
    need = f"artifacts of {size / MIB:.0f} MiB"
    moved = [
        row
        for run in runs
        if run.plan.scenario == "artifacts"
        for row in run.operations
        if row.size_bytes
    ]
    if any(row.errors for row in moved):
        return Answer(need, False, "artifacts failed")
    enough = [row for row in moved if (row.size_bytes or 0) >= size and row.mib_per_s]
    if enough:
        slowest = min(row.mib_per_s or 0.0 for row in enough)
        took = size / MIB / slowest
        return Answer(need, True, f"about {took:.1f} s each, at {slowest:.0f} MiB/s")
    most = max((row.size_bytes or 0 for row in moved), default=0)
    tried = f"tried up to {most / MIB:.0f} MiB" if most else "no artifacts of that size were tried"
    command = (
        f"python -m workloads run --stack {stack} --scenario artifacts "
        f"--set sizes_kib={-(-size // 1024)}"
    )
    return Answer(need, None, f"{tried}; measure it: {command}")


def _survives(
    stack: str, runs: list[Result], target: Target | None, loss: Loss, needs: Needs
) -> Answer:
    """Survived is what lost nothing, was answered again in time, and became as before."""
    need = f"survives the loss of a {loss}"
    tried = [run for run in runs if any(f.fault in FAULTS[loss] for f in _faults(run))]
    if not tried:
        return _untried(stack, target, loss, need)
    seen = [f for run in tried for f in _faults(run) if f.fault in FAULTS[loss]]
    names = ", ".join(dict.fromkeys(fault.fault for fault in seen))
    lost = sum(kind.lost for run in tried for kind in run.durability.kinds.values())
    if lost:
        return Answer(need, False, f"{names}: {lost} acknowledged things were lost")
    if not all(map(counts, tried)):
        return Answer(need, None, f"{names}: the run does not count")
    worst = max(seen, key=lambda fault: fault.gap_s)
    gap = f"{worst.fault}: no answer for up to {worst.gap_s:.1f} s"
    if worst.gap_s > needs.longest_gap_s:
        return Answer(need, False, f"{gap}, more than {needs.longest_gap_s:g} s")
    late = [fault for fault in seen if fault.recovery_s is None]
    if late:
        where = f"{late[0].fault}: within {late[0].watched_s:.0f} s"
        return Answer(need, False, f"{where} it was not as before")
    failed, calls = sum(f.failed for f in seen), sum(f.calls for f in seen)
    double = sum(kind.duplicates for run in tried for kind in run.durability.kinds.values())
    kept = f"nothing lost, {double} doubled by a repeat" if double else "nothing lost"
    return Answer(need, True, f"{gap}, {failed} of {calls} calls failed in the end, {kept}")


def _untried(stack: str, target: Target | None, loss: Loss, need: str) -> Answer:
    if target and loss is Loss.ZONE and len(target.zones) < 2:
        return Answer(need, False, "it has one zone")
    if target and loss is Loss.BALANCER and target.replicas == 1:
        return Answer(need, None, "it has none: clients talk to its one replica")
    command = (
        f"python -m workloads run --stack {stack} --scenario resilience --fault {FAULTS[loss][0]}"
    )
    return Answer(need, None, f"not tried; try it: {command}")


def _faults(run: Result) -> list[FaultFigures]:
    """What was seen of each fault of a run that took."""
    found = run.resilience.faults if run.resilience else []
    return [fault for fault in found if not fault.why_failed]


def table(recommendation: Recommendation) -> Iterator[tuple[str, str, str, str]]:
    """Yield stack, need, whether it is met, and why."""
    for candidate in recommendation.candidates:
        for answer in candidate.answers:
            met = {True: "yes", False: "no", None: "not measured"}[answer.met]
            yield candidate.stack, answer.need, met, answer.reason
