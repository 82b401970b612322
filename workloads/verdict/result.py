"""`result.json`: what a run found, for people's tools.

The descriptions here are those of its JSON Schema and of docs/result.md, which
`python -m workloads schema` writes.
"""

from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workloads.plan.plan import Plan, Stage

RENAMED: dict[str, dict[str, str]] = {
    "OperationFigures": {"intended": "response_time"},
    "OperationOutcome": {"what": "objective", "asked": "by_name", "said": "message"},
    "StageFigures": {"unserved": "dropped_calls", "late_ms": "generator_delay_ms"},
    "Knee": {"fewest": "min_users", "most": "max_users"},
    "Fit": {"fewest_users": "min_users", "most_users": "max_users"},
    "Capacity": {"least_rate": "rate_at_least"},
    "Bottleneck": {"what": "resource"},
    "Freshness": {"impossible": "unexpected", "longest_s": "max_staleness_s"},
    "Outage": {"certain_s": "at_least_s", "most_s": "at_most_s", "broken": "affected"},
    "KindFigures": {
        "before": "acknowledged_before",
        "tried": "attempted",
        "tried_after": "attempted_after",
        "after": "acknowledged_after",
    },
    "FaultFigures": {
        "begin_s": "injected_s",
        "watched_s": "observed_s",
        "recovery_s": "recovered_s",
        "served_s": "recovery_time_s",
        "served_limit_s": "recovery_time_limit_s",
        "gap_s": "outage_s",
        "gap_limit_s": "outage_limit_s",
        "gaps": "outages",
        "failed_share_limit": "error_rate_limit",
        "mended": "succeeded_after_retry",
        "saw": "client_errors",
        "why_failed": "fault_error",
    },
    "Result": {"ceiling": "generator_ceiling", "facts": "violations"},
}
"""Keys of schema version 3 and their present names, by model."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _with_present_names(cls, data: Any) -> Any:
        """Read a result of schema version 3."""
        renamed = RENAMED.get(cls.__name__)
        if renamed is None or not isinstance(data, dict):
            return data
        return {renamed.get(key, key): value for key, value in data.items()}


class Latency(_Closed):
    """Exact percentiles of the raw record; None where there are too few samples."""

    p50_ms: float | None = Field(description="Median.")
    p95_ms: float | None = Field(description="95th percentile; takes 20 samples.")
    p99_ms: float | None = Field(description="99th percentile; takes 1,000 samples.")
    max_ms: float | None = Field(description="Largest.")
    p95_low_ms: float | None = Field(
        default=None, description="Lower end of the p95's 95 % interval; None: too few samples."
    )
    p95_high_ms: float | None = Field(
        default=None, description="Its upper end; None: too few samples to bound it."
    )


class OperationFigures(Latency):
    """One kind of operation in the load phase; its own percentiles are of the service time."""

    name: str = Field(description="Name of the call or step, as the table prints it.")
    type: str = Field(description="`step`: a whole training step; `call`: one API call.")
    count: int = Field(description="Operations that began in the load phase.")
    errors: int = Field(description="Those that failed, or were never answered.")
    rate: float = Field(
        description="Successes per second; of an open load counted by the time of their end."
    )
    rate_margin: float | None = Field(
        default=None,
        description="Half of the rate's 95 % interval, by batch means; None: too few samples.",
    )
    background: int = Field(description="Calls that no user waited for; not in the percentiles.")
    retried: int = Field(description="Operations that the client sent more than once.")
    response_time: Latency | None = Field(
        default=None, description="From the planned time on; None: the load had no schedule."
    )
    size_bytes: int | None = Field(default=None, description="Bytes that one operation moves.")
    mib_per_s: float | None = Field(default=None, description="Throughput of the median one.")


class Component(_Closed):
    """Resources that a component used in a stage's load phase."""

    cpu: float = Field(description="Mean CPU usage.")
    cpu_limit: float | None = Field(description="CPU limit; None: there is none.")
    memory_bytes: int = Field(description="Peak memory, without file pages that can be dropped.")
    memory_limit_bytes: int | None = Field(description="Memory limit; None: there is none.")
    read_bytes: int | None = Field(description="Read from disks; None: not known.")
    written_bytes: int | None = Field(description="Written to disks; None: not known.")


class Replica(_Closed):
    """One replica in a stage's load phase, by the load balancer's log."""

    requests: int = Field(description="Requests that it answered.")
    in_flight: float = Field(description="Mean number of requests that it worked on.")
    p50_ms: float | None = Field(description="Median time to answer, seen by the load balancer.")
    p95_ms: float | None = Field(description="95th percentile of the same.")


class Database(_Closed):
    """PostgreSQL's sessions in a stage's load phase, sampled every second."""

    connections: float = Field(description="Mean number of open connections.")
    most_connections: int = Field(description="Most open connections.")
    max_connections: int = Field(description="PostgreSQL's limit of connections.")
    active: float = Field(description="Mean number of active sessions.")
    idle_in_transaction: float = Field(description="Mean number of sessions idle in a transaction.")
    waiting: dict[str, float] = Field(description="Mean number of waiting sessions by wait event.")
    size_bytes: int = Field(description="Size of the database at the end.")


class Machine(_Closed):
    """The machine that the load generator ran on."""

    cores: int = Field(description="Number of logical processors.")
    cpu: float = Field(description="Mean CPU usage of everything on it.")
    io_wait: float = Field(description="Mean number of cores that idled for a disk.")
    generator_cpu: float = Field(description="Mean CPU usage of the load generator.")


class Observed(_Closed):
    """Resource usage of the system under test in a stage's load phase."""

    machine: Machine = Field(description="The machine as a whole.")
    components: dict[str, Component] = Field(description="By component; {}: none can be seen.")
    replicas: dict[str, Replica] = Field(default={}, description="By replica; {}: no log of it.")
    database: Database | None = Field(default=None, description="None: it could not be asked.")
    cpu_ms_per_call: float | None = Field(
        default=None, description="CPU time of all components per successful call."
    )


class Half(_Closed):
    """Half of a stage's load phase, in time."""

    rate: float = Field(description="Successful calls per second.")
    p95_ms: float | None = Field(
        description="95th percentile of the response time; of a closed load, of the service time."
    )


class OperationOutcome(_Closed):
    """The outcome of an objective of one kind of call, or of a step."""

    name: str = Field(description="Name of the operation, as the table prints it.")
    objective: str = Field(description="Which objective, as `p95_ms`.")
    by_name: bool = Field(
        default=True, description="Whether it was set for this operation, not for every kind."
    )
    limit: float = Field(description="The limit, in the objective's unit.")
    measured: float | None = Field(default=None, description="None: too few samples.")
    met: bool | None = Field(
        default=None,
        description="None: undecided, by the load generator's fault or for too few samples.",
    )
    message: str = Field(description="The outcome in words.")


class Gate(_Closed):
    """One check of run validity."""

    name: str = Field(description="What is checked.")
    limit: str = Field(description="The limit, in words.")
    measured: str = Field(description="What was measured, in words.")
    passed: bool | None = Field(description="None: could not be checked; `measured` says why.")
    remedy: str = Field(description="What to do when it failed.")
    one_sided: bool = Field(
        default=False,
        description="Whether a failure can only have made the server look worse: times are then "
        "at most, rates at least, what was measured.",
    )


class TraceFigures(_Closed):
    """Traces of a stage's load phase."""

    traces_per_s: float = Field(
        description="Traces of which something was acknowledged, per second; each counts once."
    )
    spans_per_s: float = Field(description="Spans that were acknowledged, per second.")
    cpu_ms_per_span: float | None = Field(
        default=None,
        description="CPU time of all components per acknowledged span, with what else was asked "
        "meanwhile.",
    )
    metadata_p95_ms: float | None = Field(
        default=None,
        description="95th percentile of reads of experiments and runs meanwhile, in ms.",
    )
    dropped_spans: int = Field(
        default=0, description="Spans that clients threw away before they sent them."
    )
    dropped_traces: int = Field(
        default=0, description="Traces whose state, times and previews clients threw away likewise."
    )


class StageFigures(_Closed):
    """One stage of a run."""

    stage: Stage = Field(description="The stage as planned.")
    load_s: float = Field(description="Length of the load phase.")
    calls: OperationFigures = Field(description="All API calls together.")
    dropped_calls: int = Field(
        default=0, description="Planned calls that were never sent, as every user was busy."
    )
    gates: list[Gate] = Field(description="Validity of this stage.")
    generator_delay_ms: float | None = Field(
        default=None,
        description="99th percentile of what the load generator itself may have added to a "
        "response time; None: not known.",
    )
    in_flight: float = Field(default=0, description="Mean number of calls that users waited for.")
    halves: list[Half] = Field(default=[], description="First and second half.")
    observed: Observed | None = Field(default=None, description="None: nothing was observed.")
    traces: TraceFigures | None = Field(default=None, description="None: there were no traces.")

    @property
    def valid(self) -> bool:
        """Whether the figures of this stage may be used, if only as a bound."""
        return all(gate.passed is not False or gate.one_sided for gate in self.gates)

    @property
    def bounded(self) -> bool:
        """Whether the generator was late: times are then at most, rates at least, these."""
        return any(gate.passed is False and gate.one_sided for gate in self.gates)

    @property
    def validity(self) -> str:
        """Whether the figures are valid, as a table says it: `yes`, `bound` or `no`."""
        if not self.valid:
            return "no"
        return "bound" if self.bounded else "yes"


class Knee(_Closed):
    """The saturation point: from here on, more users bring no more throughput."""

    users: int | None = Field(description="Fewest users with 95 % of the best rate.")
    rate: float = Field(description="Calls per second of that many users.")
    reached: bool = Field(description="Whether more users were tried, and brought no more.")
    min_users: int | None = Field(
        default=None, description="Fewest users that it may be at, by the rates' intervals."
    )
    max_users: int | None = Field(
        default=None, description="Most users that it may be at; None: not known."
    )


class Fit(_Closed):
    """The Universal Scalability Law (Gunther), fitted to the rates of a climb."""

    rate_of_one: float = Field(description="Lambda: calls per second of one user.")
    contention: float = Field(description="Sigma: share of the work that is serial.")
    coherency: float = Field(description="Kappa: cost of each pair of users.")
    worst_error: float = Field(description="Largest relative error at a measured point.")
    min_users: int = Field(description="Fewest users that it was fitted to.")
    max_users: int = Field(description="Most users that it was fitted to.")


class Capacity(_Closed):
    """What a climb through levels of load found."""

    knee: Knee = Field(description="The saturation point.")
    fit: Fit | None = Field(description="None: under 6 points, or they do not follow the law.")
    users_within_objectives: int | None = Field(
        description="Most users within every objective; None: not even the fewest."
    )
    rate_at_least: float = Field(
        default=0, description="Highest rate that was served, by a late generator, too."
    )


class Bottleneck(_Closed):
    """The resource that was saturated first, with the evidence."""

    resource: str | None = Field(description="None: nothing that was observed was at its limit.")
    evidence: list[str] = Field(description="What was measured of it.")
    remedy: str = Field(description="What to change.")


class KindSets(_Closed):
    """Sizes of the sets of one kind of record, after Jepsen's `set` checker."""

    attempted: int = Field(default=0, description="Writes that were sent.")
    acknowledged: int = Field(default=0, description="Writes that the server answered well.")
    present: int = Field(default=0, description="Acknowledged, and read back as written.")
    lost: int = Field(default=0, description="Acknowledged, and not there.")
    recovered: int = Field(default=0, description="Never acknowledged, and there.")
    unexpected: int = Field(default=0, description="There, and never written.")
    duplicates: int = Field(default=0, description="Written once, and there twice.")
    orphans: int = Field(
        default=0,
        description="Made by a create that no client was told the end of; each is recovered, too.",
    )
    differing: int = Field(
        default=0, description="There in one source, and absent or different in another."
    )
    unread: int = Field(default=0, description="Acknowledged, and never read back.")


class DurabilityVerdict(StrEnum):
    """Verdict of the readback; what was never read is `unknown`, not `pass`."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Durability(_Closed):
    """Result of the readback."""

    verdict: DurabilityVerdict = Field(description="`pass`, `fail` or `unknown`.")
    kinds: dict[str, KindSets] = Field(description="By kind of record.")
    findings: list[str] = Field(description="A line for each record that is not as it should be.")
    read_errors: list[str] = Field(description="What could not be read, and why.")
    sources: list[str] = Field(
        default=[], description="What was read: replicas or `address`, `postgres`, the artifacts."
    )
    reconciled: list[str] = Field(
        default=[], description="Duplicates that `--reconcile` removed before the readback."
    )
    not_read: list[str] = Field(default=[], description="Sources that could not be had, and why.")
    not_audited: dict[str, int] = Field(
        default={}, description="Acknowledged writes that no readback looks at, by route."
    )


class MissingSpans(_Closed):
    """Why spans and traces are not there, in the whole run."""

    dropped_spans: dict[str, int] = Field(
        description="Spans that the client threw away before it sent them, by why."
    )
    dropped_traces: dict[str, int] = Field(
        description="The same of what is known of a trace as a whole, by why."
    )
    refused_spans: int = Field(
        description="Spans of which the server answered every attempt with an error."
    )
    refused_traces: int = Field(description="The same of traces.")
    given_up_spans: int = Field(
        default=0,
        description="Spans that the client gave up as no answer came; they may be there.",
    )
    given_up_traces: int = Field(default=0, description="The same of traces.")
    lost_spans: int = Field(description="Spans that were acknowledged, and are not there.")
    lost_traces: int = Field(description="The same of traces.")


class Outage(_Closed):
    """The longest outage of one path: between `at_least_s` and `at_most_s`."""

    at_least_s: float = Field(description="Time in which probes waited and none was answered.")
    at_most_s: float = Field(description="Longest time between two answers.")
    affected: bool = Field(description="Whether the fault affects this path, so it has the limit.")
    longest_probe_s: float = Field(description="Longest wait of a probe; given up after 10 s.")
    probes: int = Field(description="Probes that were sent.")
    failed: int = Field(description="Probes that were refused or given up.")

    def __str__(self) -> str:
        low, high = f"{self.at_least_s:.2f}", f"{self.at_most_s:.2f}"
        return high if low == high else f"{low} to {high}"

    def within(self, limit_s: float | None) -> bool | None:
        """Whether an objective is met; None: it lies within what the probes can tell."""
        if limit_s is None or self.at_most_s <= limit_s:
            return True
        return False if self.at_least_s > limit_s else None


class KindFigures(_Closed):
    """How often one kind of operation was attempted and acknowledged around a fault."""

    acknowledged_before: int = Field(
        description="Acknowledged since the last fault, or in the baseline."
    )
    attempted: int = Field(description="Begun between injection and healing.")
    acknowledged: int = Field(description="Those of them that succeeded in the end.")
    attempted_after: int = Field(description="Begun after the healing.")
    acknowledged_after: int = Field(description="Those of them that succeeded.")


class Freshness(_Closed):
    """Whether reads during the load showed what had been acknowledged before they began."""

    reads: int = Field(description="Reads that were compared.")
    stale: int = Field(description="Those that showed an older value than was acknowledged.")
    unexpected: int = Field(description="Those that showed a value that nobody had sent by then.")
    max_staleness_s: float | None = Field(
        description="Longest time from an acknowledgement to a read that did not show it."
    )
    findings: list[str] = Field(description="A line for each such read.")


class TracePath(_Closed):
    """What became of traces around a fault: of the exports of clients, for which no user waits."""

    exports: int = Field(
        description="Exports that were due until all of them arrived again, and later ones that "
        "failed or were retried."
    )
    failed: int = Field(description="Those that the server refused, or the client gave up.")
    succeeded_after_retry: int = Field(description="Those that succeeded after a retry.")
    dropped_exports: int = Field(
        description="Exports that clients threw away before they sent them; not among the others."
    )
    dropped_spans: int = Field(description="Spans of those.")
    dropped_traces: int = Field(
        description="Traces whose state, times and previews were thrown away likewise."
    )
    client_errors: dict[str, int] = Field(
        description="Errors that clients saw of exports, of retried attempts too, by kind."
    )
    most_unsent: int = Field(
        description="Most spans and export tasks that waited in clients at one time."
    )
    recovered_s: float | None = Field(
        description="From the injection until all arrives again: ten seconds in a row in which "
        "every export succeeded and no more than before waited in clients."
    )
    recovery_time_s: float | None = Field(description="The same from the healing on.")
    recovery_time_limit_s: float = Field(description="Objective for it.")

    @property
    def not_sent(self) -> int:
        """Exports that failed or were dropped."""
        return self.failed + self.dropped_exports

    @property
    def planned(self) -> int:
        """Exports with those that were dropped."""
        return self.exports + self.dropped_exports


class FaultFigures(_Closed):
    """One fault and its effect on users, until the next one; times from its injection on."""

    fault: str = Field(description="Name of the fault.")
    component: str | None = Field(description="The component it hit; None: no single one.")
    injected_s: float = Field(description="Injection, from the start of the baseline on.")
    in_effect_s: float | None = Field(description="Until it was seen to be in effect.")
    healed_s: float | None = Field(description="Until its component was seen to work again.")
    observed_s: float = Field(description="Length of the time that these figures cover.")
    recovered_s: float | None = Field(
        description="Until service was restored: the start of ten seconds in a row as in the "
        "baseline, in which every kind of operation was acknowledged; None: not seen."
    )
    recovery_time_s: float | None = Field(description="From healed to recovered.")
    recovery_time_limit_s: float = Field(description="Objective for the recovery time.")
    outage_s: float = Field(description="Longest outage of the paths that it affects, at most.")
    outage_limit_s: float | None = Field(
        description="Objective for the outage; None: no other component can stand in."
    )
    longest_probe_s: float = Field(description="Longest wait of a probe of those paths.")
    failed_probes: int = Field(description="Their probes that were refused or given up.")
    outages: dict[str, Outage] = Field(default={}, description="By path, unaffected ones too.")
    kinds: dict[str, KindFigures] = Field(default={}, description="By kind of operation.")
    calls: int = Field(
        description="Calls that were due until service was restored, and later ones that failed "
        "or were retried."
    )
    failed: int = Field(description="Those that failed in the end, or were never sent.")
    error_rate_limit: float = Field(description="Objective for their share.")
    succeeded_after_retry: int = Field(description="Those that succeeded after a retry.")
    client_errors: dict[str, int] = Field(
        description="Errors that clients saw, of retried attempts too, by kind."
    )
    traces: TracePath | None = Field(
        default=None, description="Of a load with traces: what became of them."
    )
    fault_error: str | None = Field(
        default=None, description="Why the fault is invalid: not in effect, or not healed."
    )

    @property
    def affected_outages(self) -> dict[str, Outage]:
        """Outages of affected paths; one without a name where no path had probes of its own."""
        if self.outages:
            return {path: outage for path, outage in self.outages.items() if outage.affected}
        only = Outage(
            at_least_s=self.outage_s,
            at_most_s=self.outage_s,
            affected=True,
            longest_probe_s=self.longest_probe_s,
            probes=0,
            failed=self.failed_probes,
        )
        return {"": only}


class Resilience(_Closed):
    """The faults of a run and their effect on users."""

    baseline_rate: float = Field(description="Successful calls per second before the faults.")
    baseline_p95_ms: float | None = Field(
        description="Upper end of the 95 % interval of the baseline's p95 response time."
    )
    faults: list[FaultFigures] = Field(description="In the order of their injection.")
    gates: list[Gate] = Field(description="Validity of the faults and their probes.")


class Judgement(StrEnum):
    """Verdict of a run."""

    GOOD = "good"
    BAD = "bad"
    INVALID = "invalid"

    @property
    def exit_status(self) -> int:
        """Exit status of the command line."""
        return {"good": 0, "bad": 1, "invalid": 3}[self.value]


class Verdict(_Closed):
    """The judgement with its reasons."""

    judgement: Judgement = Field(description="`good`, `bad` or `invalid`.")
    reasons: list[str] = Field(description="Sentences that a person can act on.")


class Result(_Closed):
    """Everything that a run found."""

    schema_version: Literal[4] = Field(default=4, description="Version of these keys.")
    plan: Plan = Field(description="What was decided before the run.")
    load_s: float = Field(description="Length of the judged stage's load phase.")
    interrupted: bool = Field(description="Whether the run was interrupted.")
    stages: list[StageFigures] = Field(description="Every stage, in the order in which it ran.")
    judged_stage: str | None = Field(description="The stage that decided; `operations` are of it.")
    operations: list[OperationFigures] = Field(description="`all API calls` first, then by kind.")
    errors: dict[str, int] = Field(description="Failed operations of all stages, by error.")
    objectives: list[OperationOutcome] = Field(
        default=[], description="Outcomes of the objectives of operations, in the judged stage."
    )
    gates: list[Gate] = Field(description="Validity of the whole run; each stage has its own.")
    generator_ceiling: float | None = Field(
        description="Calls per second of the load generator against a server that does nothing; "
        "None: not measured."
    )
    generator_nice: int | None = Field(
        default=None,
        description="Highest nice value of the load generator's processes: -5 where the system "
        "lets them go first; None: not recorded.",
    )
    capacity: Capacity | None = Field(description="None: the run did not climb.")
    bottleneck: Bottleneck | None = Field(description="None: none was looked for or seen.")
    durability: Durability = Field(description="What was read back, and how it compares.")
    missing_spans: MissingSpans | None = Field(
        default=None, description="None: a run without traces."
    )
    freshness: Freshness | None = Field(default=None, description="None: not compared.")
    resilience: Resilience | None = Field(default=None, description="None: a run without faults.")
    deploy: dict[str, float] = Field(
        description="Deployment times in seconds, by name; {}: not known."
    )
    not_done: list[str] = Field(description="What could not be measured, and why.")
    violations: list[str] = Field(description="What makes the run bad, whatever the figures are.")
    verdict: Verdict = Field(description="Good, bad or invalid, and why.")

    @model_validator(mode="before")
    @classmethod
    def _of_present_version(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("schema_version") == 3:
            return data | {"schema_version": 4}
        return data

    @property
    def judged(self) -> StageFigures | None:
        """The stage that decided the verdict."""
        return next((s for s in self.stages if s.stage.name == self.judged_stage), None)
