"""`result.json`: what a run found, for people's tools; its JSON Schema comes from these models.

The schema is written with `python -m workloads schema > docs/result.schema.json`.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from workloads.plan import Plan, Stage


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Latency(_Closed):
    """Exact percentiles of the raw record in ms; None where there are too few samples."""

    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class OperationFigures(Latency):
    """One kind of operation in the load phase."""

    name: str
    type: str = Field(description="`step`: a whole training step; `call`: one API call.")
    count: int
    errors: int
    rate: float = Field(description="Successes per second of the load phase.")
    rate_margin: float | None = Field(
        default=None, description="Half of the rate's 95 % interval, by batch means; None: too few."
    )
    background: int = Field(description="Calls beside the trainer's own work; not in latencies.")
    retried: int = Field(description="Operations that the client sent more than once.")
    intended: Latency | None = Field(
        default=None, description="The same from the planned begin on; None: nothing was planned."
    )
    size_bytes: int | None = Field(default=None, description="Bytes that one operation moves.")
    mib_per_s: float | None = Field(default=None, description="MiB/s of the median operation.")


class Component(_Closed):
    """What a component used in a stage's load phase."""

    cpu: float = Field(description="Mean of cores in use.")
    cpu_limit: float | None = Field(description="Most cores that it may use; None: no limit.")
    memory_bytes: int = Field(description="Most memory in use, without files that can be dropped.")
    memory_limit_bytes: int | None
    read_bytes: int | None = Field(description="Read from disks; None: the kernel does not say.")
    written_bytes: int | None


class Replica(_Closed):
    """What the load balancer's log says of one replica in a stage's load phase."""

    requests: int
    in_flight: float = Field(description="Mean number of requests that it worked on.")
    p50_ms: float | None = Field(description="Median of its answer times as the balancer saw them.")
    p95_ms: float | None


class Database(_Closed):
    """PostgreSQL's sessions in a stage's load phase; means of looks 1 s apart."""

    connections: float
    most_connections: int
    max_connections: int
    active: float
    idle_in_transaction: float
    waiting: dict[str, float] = Field(description="Active sessions by what they wait for.")
    size_bytes: int


class Machine(_Closed):
    """The machine that everything ran on."""

    cores: int
    cpu: float = Field(description="Mean of cores in use, by everything.")
    io_wait: float = Field(description="Mean of cores that were idle for a disk.")
    generator_cpu: float = Field(description="Mean of cores in use by the load generator.")


class Observed(_Closed):
    """What the system under test used in a stage's load phase."""

    machine: Machine
    components: dict[str, Component] = Field(description="{}: none can be seen from here.")
    replicas: dict[str, Replica] = Field(default={})
    database: Database | None = None
    cpu_ms_per_call: float | None = Field(
        default=None, description="CPU of all components for a call that was answered well."
    )


class Gate(_Closed):
    """One condition under which the figures count."""

    name: str
    limit: str
    measured: str
    passed: bool | None = Field(description="None: could not be looked at, and `measured` says why")
    remedy: str = Field(description="What to do when it did not pass.")


class StageFigures(_Closed):
    """One stage of a run."""

    stage: Stage
    load_s: float = Field(description="Length of the load phase, in s.")
    calls: OperationFigures = Field(description="All API calls together.")
    unserved: int = Field(
        default=0, description="Calls that were planned and never begun, as every user was busy."
    )
    gates: list[Gate] = Field(description="Whether the figures of this stage count.")
    observed: Observed | None = None

    @property
    def counts(self) -> bool:
        """Whether every gate of this stage that could be looked at passed."""
        return all(gate.passed is not False for gate in self.gates)


class Knee(_Closed):
    """Where more users bring no more work done."""

    users: int | None = Field(description="Fewest users with 95 % of the best rate.")
    rate: float = Field(description="Their rate in calls/s.")
    reached: bool = Field(description="Whether more users were tried, and brought no more.")


class Fit(_Closed):
    """The Universal Scalability Law, as fitted to the rates of a climb."""

    rate_of_one: float = Field(description="Lambda: calls/s of one user.")
    contention: float = Field(description="Sigma: share of the work that waits for its turn.")
    coherency: float = Field(description="Kappa: cost of each pair of users.")
    worst_error: float = Field(description="Largest relative error at a point that was measured.")
    fewest_users: int
    most_users: int


class Capacity(_Closed):
    """What a climb found."""

    knee: Knee
    fit: Fit | None = Field(description="None: under 6 points, or they do not follow the law.")
    users_within_objectives: int | None = Field(
        description="Most users for whom every objective holds; None: not even for the fewest."
    )


class Bottleneck(_Closed):
    """What was at its limit, with the evidence; `what` is None where nothing seen was."""

    what: str | None
    evidence: list[str]
    remedy: str


class KindSets(_Closed):
    """Sizes of the durability sets of one kind of thing."""

    attempted: int = 0
    acknowledged: int = 0
    present: int = 0
    lost: int = 0
    recovered: int = 0
    unexpected: int = 0
    duplicates: int = 0
    differing: int = Field(default=0, description="In one source and not, or otherwise, in another")
    unread: int = 0


class DurabilityVerdict(StrEnum):
    """What reading everything back says; never read is `unknown`, not `pass`."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Durability(_Closed):
    """Result of the durability check, with a line for each thing that is not as it has to be."""

    verdict: DurabilityVerdict
    kinds: dict[str, KindSets]
    findings: list[str]
    read_errors: list[str]
    sources: list[str] = Field(
        default=[], description="What was read: replicas or `address`, `postgres`, the artifacts."
    )
    reconciled: list[str] = Field(
        default=[], description="Doubles that were removed before, as --reconcile asks for."
    )
    not_read: list[str] = Field(default=[], description="Sources that were not there, and why.")


class FaultFigures(_Closed):
    """What users noticed of one fault, until the next one; times in s, from its injection on."""

    fault: str
    component: str | None = Field(description="What was struck; None: nothing single.")
    begin_s: float = Field(description="Injection, from the begin of the figures before it.")
    in_effect_s: float | None = Field(description="Until it was seen to be in effect.")
    healed_s: float | None = Field(description="Until what was struck was seen to work again.")
    watched_s: float = Field(description="Time that the figures cover.")
    recovery_s: float | None = Field(
        description="Until ten seconds in a row were as before; None: not in the time watched."
    )
    served_s: float | None = Field(description="From healed to recovered.")
    served_limit_s: float
    gap_s: float = Field(description="Longest time without an answer to the probe.")
    gap_limit_s: float | None = Field(
        description="Objective for that; None: nothing stands in for what was struck."
    )
    longest_probe_s: float = Field(description="Longest that one probe waited, up to its 10 s.")
    failed_probes: int
    calls: int = Field(description="Calls of users that were due in that time.")
    failed: int = Field(description="Those that failed in the end, or were never begun.")
    failed_share_limit: float = Field(description="Highest share of calls that may.")
    mended: int = Field(description="Those that succeeded after the client had tried again.")
    saw: dict[str, int] = Field(description="What went wrong by what the client saw, tries too.")
    why_failed: str | None = Field(default=None, description="Why the fault did not count.")


class Resilience(_Closed):
    """What faults did to the users of a stack."""

    baseline_rate: float = Field(description="Calls/s answered well before the first fault.")
    baseline_p95_ms: float | None = Field(
        description="Highest p95 of a second before the first fault, from the planned time on."
    )
    faults: list[FaultFigures]
    gates: list[Gate]


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
    """The judgement and its reasons, sentences a person can act on."""

    judgement: Judgement
    reasons: list[str]


class Result(_Closed):
    """Everything that a run found."""

    schema_version: int = 2
    plan: Plan
    load_s: float = Field(description="Length of the judged stage's load phase, in s.")
    interrupted: bool
    stages: list[StageFigures] = Field(description="Every stage, in the order in which it ran.")
    judged_stage: str | None = Field(description="Name of the stage that `operations` are of.")
    operations: list[OperationFigures] = Field(description="`all API calls` first, then by kind.")
    errors: dict[str, int] = Field(description="Failed operations of all stages by what was said.")
    gates: list[Gate] = Field(description="Of the whole run; those of a stage are there.")
    ceiling: float | None = Field(
        description="Calls/s of the generator against a server that does nothing; None: not taken."
    )
    capacity: Capacity | None
    bottleneck: Bottleneck | None
    durability: Durability
    resilience: Resilience | None = Field(default=None, description="None: nothing was broken.")
    deploy: dict[str, float] = Field(description="Deployment times in s, by name; {} if unknown.")
    not_done: list[str] = Field(description="What this run could not look at, and why.")
    verdict: Verdict
