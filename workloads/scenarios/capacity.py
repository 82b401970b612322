"""How many at once, and from where on more users bring no more work done."""

from collections.abc import Iterator

from workloads.plan.plan import Objectives, Plan, Profile, Stage
from workloads.scenarios.metrics import MetricsParameters
from workloads.scenarios.scenario import PROFILES, Measured, Scenario, levels


def climb(plan: Plan, measured: Measured) -> Iterator[Stage]:
    """1, 2, 4 … users, each for as long; the first stage warms up for longer."""
    profile = plan.profile
    for number, users in enumerate(levels(profile.users)):
        yield Stage(
            name=f"{users} users" if users > 1 else "1 user",
            users=users,
            warm_up_s=profile.warm_up_s if number else 2 * profile.warm_up_s,
            load_s=profile.load_s,
        )


CAPACITY = Scenario(
    name="capacity",
    summary="1, 2, 4 … users that log metrics: the knee, and what gives out first; closed load",
    users="workloads.users.tracking:Tracker",
    profiles={
        "quick": Profile(users=64, warm_up_s=2, load_s=6, finish_s=60),
        "full": Profile(users=128, warm_up_s=5, load_s=30, finish_s=60),
    },
    objectives=dict.fromkeys(PROFILES, Objectives(error_rate=0, p95_ms=1000, min_rate=20)),
    stages=climb,
    parameters=dict.fromkeys(PROFILES, MetricsParameters()),
    can_be_open=False,
)
