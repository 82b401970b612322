"""Everybody logs at the same moment: the cliff of a connection pool that is too small."""

from collections.abc import Iterator

from pydantic import Field

from workloads.plan.plan import Load, Objectives, Plan, Profile, Stage
from workloads.scenarios.scenario import PROFILES, Measured, Parameters, Scenario, levels

LEAST_USERS = 8


class BurstParameters(Parameters):
    """How often they come, and with what."""

    every_s: float = Field(default=3, gt=0, description="seconds between bursts")
    metrics: int = Field(default=10, ge=1, le=1000, description="metrics in a batch")


def bursts(plan: Plan, measured: Measured) -> Iterator[Stage]:
    """8, 16, 32 … users."""
    profile = plan.profile
    every_s = BurstParameters.model_validate(plan.parameters).every_s
    for users in levels(profile.users, min(LEAST_USERS, profile.users)):
        yield Stage(
            name=f"{users} at once",
            load=Load.BURST,
            users=users,
            rate=1 / every_s,
            warm_up_s=profile.warm_up_s,
            load_s=profile.load_s,
        )


BURST = Scenario(
    name="burst",
    summary="8, 16 … 128 log-batch calls at the same moment, again and again",
    users="workloads.users.tracking:Batcher",
    profiles={
        "quick": Profile(users=128, warm_up_s=3, load_s=9, finish_s=60),
        "full": Profile(users=128, warm_up_s=6, load_s=60, finish_s=60),
    },
    objectives=dict.fromkeys(PROFILES, Objectives(error_rate=0, p95_ms=5000, min_rate=1)),
    stages=bursts,
    parameters=dict.fromkeys(PROFILES, BurstParameters()),
    can_be_open=False,
)
