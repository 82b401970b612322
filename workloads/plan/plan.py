"""Everything that is decided before a run: enough to repeat it and to judge it again."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from infra.outputs import Target

SCHEMA_VERSION = 2
"""Of the history; raised when older ones can no longer be read."""


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Load(StrEnum):
    """What decides when the next call comes: an open or a closed loop, or bursts."""

    CLOSED = "closed"
    """The answer to the user's last one."""
    OPEN = "open"
    """A schedule of arrivals, whether or not earlier calls are answered."""
    BURST = "burst"
    """A schedule of moments at which every user calls at once."""


class ClientRule(StrEnum):
    """Releases of mlflow whose rule for sending creates again can be emulated."""

    RELEASE_3_18 = "3.18"


class Stage(_Closed):
    """A part of a run with one load of its own; durations are in seconds."""

    name: str = Field(description="As `8 users`; unique in the run.")
    load: Load = Field(default=Load.CLOSED, description="`closed`, `open` or `burst`.")
    users: int = Field(ge=1, description="Users at once; of an open load, most calls in flight.")
    rate: float | None = Field(
        default=None, gt=0, description="Planned arrivals per s (open) or bursts per s (burst)."
    )
    warm_up_s: float = Field(ge=0, description="Load before the figures start.")
    load_s: float = Field(gt=0, description="Time that the figures cover.")
    judged: bool = Field(default=True, description="Whether its figures can decide the verdict.")
    goes_on: bool = Field(
        default=False, description="Whether the load goes on after the time of the figures."
    )


class Profile(_Closed):
    """How much of a scenario is run; durations are in seconds."""

    users: int = Field(ge=1, description="Users at once; of a scenario with levels, the most.")
    rate: float | None = Field(
        default=None, gt=0, description="Planned arrivals per s; None: closed load."
    )
    warm_up_s: float = Field(gt=0, description="Least time before the figures start.")
    load_s: float = Field(gt=0, description="Time that the figures of each stage cover.")
    finish_s: float = Field(gt=0, description="Time that users have to finish what they began.")


class OperationObjectives(_Closed):
    """What one kind of call, or one step, has to reach; None: it has no such objective.

    Times are of those that were answered well, of an open load from the planned time on.
    """

    p50_ms: float | None = Field(default=None, gt=0, description="Highest median, in ms.")
    p95_ms: float | None = Field(default=None, gt=0, description="Highest 95th percentile, in ms.")
    p99_ms: float | None = Field(default=None, gt=0, description="Highest 99th percentile, in ms.")
    min_mib_per_s: float | None = Field(
        default=None, gt=0, description="Lowest MiB/s of the median one; of steps that move files."
    )
    min_rate: float | None = Field(default=None, gt=0, description="Lowest successes per s.")
    min_count: int | None = Field(
        default=None,
        ge=1,
        description="Fewest of them; None: where there are none, nothing is asked of them.",
    )


class Objectives(_Closed):
    """What a stack has to reach for a good verdict."""

    error_rate: float = Field(ge=0, le=1, description="Highest share of calls that may fail.")
    p95_ms: float = Field(
        gt=0,
        description="Highest 95th percentile of all API calls, in ms; of an open load, from the "
        "planned time on.",
    )
    min_rate: float = Field(ge=0, description="Lowest rate of API calls, in calls/s.")
    retried_rate: float = Field(
        default=0.01,
        ge=0,
        le=1,
        description="Highest share of calls that the client may have to send again.",
    )
    each_p95_ms: float | None = Field(
        default=None,
        gt=0,
        description="Highest 95th percentile of each kind of API call, in ms; None: three times "
        "p95_ms.",
    )
    operations: dict[str, OperationObjectives] = Field(
        default={}, description="Of kinds of calls and of steps, by their names in the table."
    )


class Plan(_Closed):
    """First line of a history."""

    schema_version: int = Field(default=SCHEMA_VERSION, description="Version of the history.")
    scenario: str = Field(description="Name of the scenario.")
    profile_name: str = Field(description="`quick` or `full`.")
    profile: Profile = Field(description="The profile, with what the command line changed.")
    parameters: dict[str, Any] = Field(default={}, description="The scenario's own, by name.")
    objectives: Objectives = Field(description="What the run has to reach.")
    seed: int = Field(description="Seed of everything that is drawn at random.")
    faults: tuple[str, ...] = Field(default=(), description="Faults by name, in their order.")
    subject: str = Field(description="Name of what is tested: a stack, or the host of a URL.")
    tracking_uri: str = Field(description="Address that the load goes to.")
    target: Target | None = Field(
        description="The stack; None: a URL, of whose inside nothing is known."
    )
    fail_fast: bool = Field(
        default=False, description="Whether the load ends once its verdict can only be bad."
    )
    client_rule: ClientRule | None = Field(
        default=None,
        description="Release whose rule for sending creates again the client follows, emulated; "
        "None: its own.",
    )
    processes: int = Field(ge=1, description="Processes of the load generator.")
    computes: bool = Field(description="Whether users compute between calls, as trainers do.")
    experiment_id: str = Field(description="Experiment made for this run alone.")
    started: str = Field(description="UTC, ISO 8601.")
    environment: dict[str, str] = Field(description="Versions and machine, by name.")
