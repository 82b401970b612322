"""A recommendation from a person's needs: every answer names the run that it comes from."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from infra.outputs import Target
from workloads.checkers.objectives import within
from workloads.comparison.needs import Loss, Needs
from workloads.comparison.quantities import MIB, bounded, is_valid
from workloads.comparison.saved_results import Deployment, Saved
from workloads.plan.plan import Load
from workloads.verdict.result import DurabilityVerdict, FaultFigures, Judgement, Result
from workloads.verdict.verdict import judge

FAULTS = {
    Loss.REPLICA: ("replica-kill", "replica-freeze", "replica-stop"),
    Loss.ZONE: ("zone-cut",),
    Loss.BALANCER_OUTAGE: ("balancer-kill",),
    Loss.DATABASE_OUTAGE: ("postgres-kill", "postgres-restart", "postgres-freeze"),
    Loss.STORE_OUTAGE: ("store-kill", "store-freeze", "nfs-restart", "nfs-freeze"),
}
"""Faults that stand for a loss; the first is the one to try."""

WORDS = {
    Loss.REPLICA: "survives the loss of a replica",
    Loss.ZONE: "survives the loss of a zone",
    Loss.BALANCER_OUTAGE: "survives an outage of the load balancer",
    Loss.DATABASE_OUTAGE: "survives an outage of the database, its data kept",
    Loss.STORE_OUTAGE: "survives an outage of the artifact store, its data kept",
    Loss.DATABASE: "survives the loss of the database with its data",
    Loss.STORE: "survives the loss of the artifact store with its data",
}

ONLY_ONE = {
    Loss.DATABASE: (("postgres",), "PostgreSQL", Loss.DATABASE_OUTAGE),
    Loss.STORE: (("minio", "seaweedfs", "nfs"), "artifact store", Loss.STORE_OUTAGE),
}
"""What is lost with its data: kinds of components, their name, and the outage that is tried."""

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
    """A stack with its answers, what has to be operated, and why any of its runs was bad."""

    stack: str
    answers: list[Answer]
    components: int
    bad: list[str] = field(default_factory=list)

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

    sentences: list[str]
    candidates: list[Candidate]
    limits: tuple[str, ...] = LIMITS


def recommend(saved: Saved, needs: Needs) -> Recommendation:
    """Recommend the stack that meets the needs with the least to operate."""
    candidates = [_candidate(stack, saved.of(stack), needs) for stack in saved.stacks]
    ranked = sorted(candidates, key=_rank)
    return Recommendation(_words(ranked), ranked)


def _rank(candidate: Candidate) -> tuple[bool, int, int, int]:
    """Best first; what could not be tried is last."""
    return not candidate.components, candidate.refused, candidate.unknown, candidate.components


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
        sentences = [
            f"Nothing speaks against {best.stack}, but not all of it was measured: {which}."
        ]
    else:
        count = best.components
        sentences = [f"Take {best.stack}: it meets every need, with {count} components to run."]
        sentences += [f"{answer.need}: {answer.reason}." for answer in best.answers]
    return sentences + [f"But look at what was bad on {best.stack}: {why}" for why in best.bad]


def _candidate(stack: str, deployments: list[Deployment], needs: Needs) -> Candidate:
    runs = [run for deployment in deployments for run in deployment.runs.values()]
    target = next((deployment.target for deployment in deployments if deployment.target), None)
    if not runs:
        why = next(
            (deployment.error for deployment in deployments if deployment.error),
            "none of its runs ended",
        )
        return Candidate(stack, [Answer("can be tried", False, why)], 0)
    answers = [_kept(runs)]
    if needs.users:
        answers.append(_users(stack, runs, needs.users))
    if needs.artifact_bytes:
        answers.append(_artifact(stack, runs, needs.artifact_bytes))
    answers += [_survives(stack, runs, target, loss, needs) for loss in needs.must_survive]
    bad = [
        f"{step}: {run.verdict.reasons[0]}"
        for deployment in deployments
        for step, run in deployment.runs.items()
        if run.verdict.judgement is Judgement.BAD and run.verdict.reasons
    ]
    components = len(target.components) if target else 0
    return Candidate(stack, answers, components, list(dict.fromkeys(bad)))


def _kept(runs: list[Result]) -> Answer:
    need = "keeps what it acknowledged"
    lost = sum(kind.lost for run in runs for kind in run.durability.kinds.values())
    present = sum(kind.present for run in runs for kind in run.durability.kinds.values())
    if lost:
        return Answer(need, False, f"{lost} acknowledged records were lost")
    if any(run.durability.verdict is DurabilityVerdict.FAIL for run in runs):
        kinds = [kind for run in runs for kind in run.durability.kinds.values()]
        duplicates, unexpected = sum(k.duplicates for k in kinds), sum(k.unexpected for k in kinds)
        return Answer(
            need, False, f"nothing lost, but {duplicates} duplicates, {unexpected} unexpected"
        )
    if not runs or any(run.durability.verdict is not DurabilityVerdict.PASS for run in runs):
        return Answer(need, None, "not every run was read back as written")
    return Answer(need, True, f"all {present} records that were read back are as written")


def _users(stack: str, runs: list[Result], users: int) -> Answer:
    """Say whether so many are served in time: by climbs, and by runs of one number of users."""
    need = f"{users} users at once"
    climbs = [run for run in runs if run.capacity and is_valid(run)]
    held = [run for run in runs if run.plan.scenario == "metrics"]
    against = [why for run in climbs if (why := _too_many(run, users))]
    against += [
        f"{run.plan.profile.users} who log without a pause: verdict bad"
        for run in held
        if run.plan.profile.users <= users and run.verdict.judgement is Judgement.BAD
    ]
    if against:
        return Answer(need, False, against[0])
    served = [run.capacity.users_within_objectives or 0 for run in climbs if run.capacity]
    if served and min(served) >= users:
        return Answer(need, True, f"at least {min(served)} who log without a pause are in time")
    enough = [
        run.plan.profile.users
        for run in held
        if run.plan.profile.users >= users and run.verdict.judgement is Judgement.GOOD
    ]
    if enough and not served:
        return Answer(need, True, f"{min(enough)} who log without a pause: verdict good")
    tried = (
        f"only {min(served)} were seen to be served"
        if served
        else "no climb says how many it serves"
    )
    command = f"python -m workloads run --stack {_name(stack)} --scenario capacity"
    return Answer(
        need, None, f"{tried}; measure it: {command}{f' --users {users}' if served else ''}"
    )


def _too_many(run: Result, users: int) -> str | None:
    """Return why a climb says that so many are not served in time; None if it does not say that.

    Either fewer were not, or so many cannot be: with all of them waiting, each waits for as long as
    the rate needs to serve them once (J. D. C. Little, "A Proof for the Queuing Formula: L = λW",
    Operations Research 9, 1961).
    """
    climb = [stage for stage in run.stages if stage.stage.load is Load.CLOSED]
    if run.capacity is None or not climb:
        return None
    most = run.capacity.users_within_objectives or 0
    exact = [stage for stage in climb if stage.valid and not stage.bounded]
    missed = min((s.stage.users for s in exact if not within(run.plan, s)), default=None)
    if missed and missed <= users:
        return f"only up to {most} who log without a pause are served in time, {missed} are not"
    rate = run.capacity.rate_at_least
    limit_ms = run.plan.objectives.p95_ms
    beyond = users > max(s.stage.users for s in climb)
    if beyond and run.capacity.knee.reached and rate and users / rate * 1000 > limit_ms:
        return (
            f"at {rate:.0f} calls/s, the most it does, each of {users} would wait "
            f"{users / rate:.1f} s for an answer; the objective is {limit_ms / 1000:g} s"
        )
    return None


def _artifact(stack: str, runs: list[Result], size: int) -> Answer:
    need = f"artifacts of {size / MIB:.0f} MiB"
    moved = [
        (run, row)
        for run in runs
        if run.plan.scenario == "artifacts"
        for row in run.operations
        if row.size_bytes
    ]
    if any(row.errors for _, row in moved):
        return Answer(need, False, "artifacts failed")
    good = [(run, row) for run, row in moved if is_valid(run)]
    enough = [(run, row) for run, row in good if (row.size_bytes or 0) >= size and row.mib_per_s]
    if enough:
        run, row = min(enough, key=lambda pair: pair[1].mib_per_s or 0.0)
        slowest = row.mib_per_s or 0.0
        about, least = ("at most", "at least ") if bounded(run) else ("about", "")
        took = f"{about} {size / MIB / slowest:.1f} s each"
        return Answer(need, True, f"{took}, at {least}{slowest:.0f} MiB/s")
    most = max((row.size_bytes or 0 for _, row in good), default=0)
    tried = "no artifacts of that size were tried"
    if most:
        tried = f"tried up to {most / MIB:.0f} MiB"
    elif moved:
        tried = "the runs that tried are invalid"
    command = (
        f"python -m workloads run --stack {_name(stack)} --scenario artifacts "
        f"--set sizes_kib={-(-size // 1024)}"
    )
    return Answer(need, None, f"{tried}; measure it: {command}")


def _survives(
    stack: str, runs: list[Result], target: Target | None, loss: Loss, needs: Needs
) -> Answer:
    """Say what the worst of the faults that stand for a loss says of it."""
    need = WORDS[loss]
    known = _by_design(target, loss)
    if known:
        return Answer(need, *known)
    tried = [
        _alone(stack, run, fault, loss, needs)
        for run in runs
        for fault in _faults(run)
        if fault.fault in FAULTS[loss]
    ]
    if not tried:
        return Answer(need, None, f"not tried; {_try(stack, FAULTS[loss][0])}")
    refused = next((answer for answer in tried if answer.met is False), None)
    open_ = next((answer for answer in tried if answer.met is None), None)
    worst = refused or open_
    if worst:
        return Answer(need, worst.met, worst.reason)
    return Answer(need, True, "; ".join(dict.fromkeys(answer.reason for answer in tried)))


def _alone(stack: str, run: Result, fault: FaultFigures, loss: Loss, needs: Needs) -> Answer:
    """Judge a run as if it had had this fault alone, with the outage that the person can bear.

    Where a run had faults of other losses too, it is not known which one its facts come from.
    """
    others = any(fault.fault not in FAULTS[loss] for fault in _faults(run))
    only = fault.model_copy(update={"outage_limit_s": needs.outage_limit_s})
    verdict = judge(
        run.plan,
        [] if others else run.violations,
        run.stages,
        run.judged,
        run.operations,
        run.gates,
        run.durability,
        run.capacity,
        None,
        run.resilience.model_copy(update={"faults": [only]}) if run.resilience else None,
    )
    name = fault.fault
    why = verdict.reasons[0].rstrip(".") if verdict.reasons else ""
    if not why.startswith(name):
        why = f"{name}: {why}"
    if verdict.judgement is Judgement.BAD:
        return Answer(name, False, why)
    if others and run.violations:
        fact = f"{name}: {run.violations[0].rstrip('.')}, by this or another fault of its run"
        return Answer(name, None, f"{fact}; {_try(stack, name)}")
    if verdict.judgement is Judgement.INVALID:
        return Answer(name, None, why)
    sign = "≤ " if bounded(run) else ""
    return Answer(
        name,
        True,
        f"{name}: no answer for up to {sign}{fault.outage_s:.1f} s, {fault.failed} of "
        f"{fault.calls} calls failed in the end, nothing lost",
    )


def _by_design(target: Target | None, loss: Loss) -> tuple[bool | None, str] | None:
    """What a stack is made of can say without a try: whether it survives, and why."""
    if target is None:
        return None, "only its address is known, and no fault can be injected there"
    if loss is Loss.ZONE and len(target.zones) < 2:
        return False, "it has one zone"
    if loss is Loss.REPLICA and target.replicas < 2:
        return False, "it has one replica: nobody answers until that is back"
    if loss is Loss.BALANCER_OUTAGE and not any(c.kind == "nginx" for c in target.components):
        return None, "it has none of its own"
    if loss in ONLY_ONE:
        kinds, name, outage = ONLY_ONE[loss]
        on_volume = loss is Loss.STORE and target.artifacts == "volume"
        if on_volume or any(component.kind in kinds for component in target.components):
            return False, f"it has one {name} (an outage, data kept, is another need: {outage})"
        return None, f"its {name} is not its own: ask whoever operates it"
    return None


def _try(stack: str, fault: str) -> str:
    command = f"python -m workloads run --stack {_name(stack)} --scenario resilience"
    return f"try it: {command} --fault {fault}"


def _name(stack: str) -> str:
    """Return the name of a stack without the release that it was compared with."""
    return stack.partition("@")[0]


def _faults(run: Result) -> list[FaultFigures]:
    """What was seen of each fault of a run that took."""
    faults = run.resilience.faults if run.resilience else []
    return [fault for fault in faults if not fault.fault_error]


def table(recommendation: Recommendation) -> Iterator[tuple[str, str, str, str]]:
    """Yield stack, need, whether it is met, and why."""
    for candidate in recommendation.candidates:
        for answer in candidate.answers:
            met = {True: "yes", False: "no", None: "not measured"}[answer.met]
            yield candidate.stack, answer.need, met, answer.reason
