"""Everything that was decided before a run: enough to repeat it and to judge it again."""

from pydantic import BaseModel, ConfigDict, Field

from infra.outputs import Target


class Profile(BaseModel):
    """How much of a scenario is run; durations are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    users: int = Field(ge=1, description="Users at once, each a process of its own.")
    warm_up_s: float = Field(gt=0, description="Least time before the figures start.")
    load_s: float = Field(gt=0, description="Time that the figures cover.")
    finish_s: float = Field(gt=0, description="Time that users have to finish what they began.")


class Objectives(BaseModel):
    """What a stack has to reach for a good verdict."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    error_rate: float = Field(ge=0, le=1, description="Highest share of calls that may fail.")
    p95_ms: float = Field(gt=0, description="Highest 95th percentile of all API calls, in ms.")
    min_rate: float = Field(gt=0, description="Lowest rate of API calls, in calls/s.")


class Plan(BaseModel):
    """First line of a history."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    schema_version: int = 1
    scenario: str
    profile_name: str
    profile: Profile
    objectives: Objectives
    seed: int
    target: Target
    experiment_id: str = Field(description="Experiment made for this run alone.")
    started: str = Field(description="UTC, ISO 8601.")
    environment: dict[str, str] = Field(description="Versions and machine, by name.")
