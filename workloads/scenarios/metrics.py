"""Runs that log, one call after another: the work that a tracking server does most."""

from pydantic import Field

from workloads.plan.plan import Objectives, Profile
from workloads.scenarios.scenario import PROFILES, Parameters, Scenario


class MetricsParameters(Parameters):
    """What a run logs."""

    metrics: int = Field(default=10, ge=1, le=1000, description="metrics in a batch")
    batches: int = Field(default=16, ge=1, description="batches of a run")


METRICS = Scenario(
    name="metrics",
    summary="runs that log batches of metrics, without any computing; closed, or open by --rate",
    users="workloads.users.tracking:Tracker",
    profiles={
        "quick": Profile(users=8, warm_up_s=4, load_s=15, finish_s=60),
        "full": Profile(users=16, warm_up_s=15, load_s=120, finish_s=60),
    },
    objectives=dict.fromkeys(PROFILES, Objectives(error_rate=0, p95_ms=1000, min_rate=20)),
    parameters=dict.fromkeys(PROFILES, MetricsParameters()),
)
