"""`result.json`: what a run found, for people's tools; its JSON Schema comes from these models."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from workloads.plan import Plan


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
    background: int = Field(description="Calls beside the trainer's own work; not in latencies.")
    retried: int = Field(description="Operations that the client sent more than once.")


class KindSets(_Closed):
    """Sizes of the durability sets of one kind of thing."""

    attempted: int = 0
    acknowledged: int = 0
    present: int = 0
    lost: int = 0
    recovered: int = 0
    unexpected: int = 0
    duplicates: int = 0
    unread: int = 0


class DurabilityVerdict(StrEnum):
    """What reading everything back says; never read is `unknown`, not `pass`."""

    PASS = "pass"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Durability(_Closed):
    """Result of the durability check, with a line for each thing lost, unexpected or double."""

    verdict: DurabilityVerdict
    kinds: dict[str, KindSets]
    findings: list[str]
    read_errors: list[str]


class Gate(_Closed):
    """One condition under which the figures count."""

    name: str
    limit: str
    measured: str
    passed: bool | None = Field(description="None: could not be looked at, and `measured` says why")
    remedy: str = Field(description="What to do when it did not pass.")


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

    schema_version: int = 1
    plan: Plan
    load_s: float = Field(description="Length of the load phase, in s.")
    interrupted: bool
    operations: list[OperationFigures] = Field(description="`all API calls` first, then by kind.")
    errors: dict[str, int] = Field(description="Failed operations by what was said.")
    gates: list[Gate]
    durability: Durability
    deploy: dict[str, float] = Field(description="Deployment times in s, by name; {} if unknown.")
    verdict: Verdict
