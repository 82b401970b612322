"""What users notice while something breaks, and how soon all is served as before."""

from collections.abc import Iterator

from pydantic import Field

from workloads.plan import Load, Objectives, Plan, Profile, Stage
from workloads.scenarios.climb import rate_at_knee
from workloads.scenarios.mixed import MixedParameters
from workloads.scenarios.scenario import Measured, Scenario

SHARE = 0.5
"""Share of the knee: what is left of a stack while a part of it is away should carry it."""

CLIMB_S = 4.0
CLIMB_TO = 16


class ResilienceParameters(MixedParameters):
    """How long faults last, and what the stack has to reach; times in s."""

    fault_s: float = Field(default=4, gt=0, description="seconds that a fault is in effect")
    recovery_s: float = Field(
        default=8, gt=0, description="least seconds of load after each fault is healed"
    )
    patience_s: float = Field(
        default=30, gt=0, description="most of them: it goes on until all is as before"
    )
    count: int = Field(default=10, ge=1, description="how many faults of `--fault random`")
    gap_s: float | None = Field(
        default=None, gt=0, description="longest time without an answer; without it, each fault's"
    )
    failed_share: float = Field(
        default=0.1, ge=0, le=1, description="highest share of calls that may fail by a fault"
    )
    served_s: float = Field(
        default=10, ge=0, description="seconds after a fault is healed until all is served"
    )


def baseline(plan: Plan, measured: Measured) -> Iterator[Stage]:
    """One open stage, which goes on through the faults; without a rate, a climb comes before.

    Raises `CannotRunError` when the climb was never answered.
    """
    profile = plan.profile
    rate = profile.rate
    if rate is None:
        most = yield from rate_at_knee(measured, most=CLIMB_TO, seconds=CLIMB_S)
        rate = round(SHARE * most, 2)
    yield Stage(
        name="before the faults",
        load=Load.OPEN,
        users=profile.users,
        rate=rate,
        warm_up_s=profile.warm_up_s,
        load_s=profile.load_s,
        goes_on=True,
    )


RESILIENCE = Scenario(
    name="resilience",
    summary="a team at half of the knee (or --rate) while --fault breaks something; open load",
    users="workloads.users.mixed:Team",
    profiles={
        # Users by far enough that a call finds a free one while others wait to try again.
        "quick": Profile(users=96, rate=20, warm_up_s=3, load_s=7, finish_s=40),
        "full": Profile(users=128, warm_up_s=15, load_s=60, finish_s=60),
    },
    objectives={
        "quick": Objectives(error_rate=0, p95_ms=1000, min_rate=10),
        "full": Objectives(error_rate=0, p95_ms=1000, min_rate=10),
    },
    stages=baseline,
    parameters={
        "quick": ResilienceParameters(),
        "full": ResilienceParameters(fault_s=30, recovery_s=60, patience_s=180),
    },
    breaks=True,
)
