"""How long a call takes at a quarter, half, three quarters and nine tenths of the knee."""

from collections.abc import Iterator

from pydantic import Field

from workloads.plan.plan import Load, Objectives, Plan, Profile, Stage
from workloads.scenarios.climb import rate_at_knee
from workloads.scenarios.metrics import MetricsParameters
from workloads.scenarios.scenario import PROFILES, Measured, Scenario

SHARES = (0.25, 0.5, 0.75, 0.9)
JUDGED = 0.75
"""Largest share of the knee at which the objectives have to hold; beyond it any queue grows."""


class LatencyParameters(MetricsParameters):
    """How the knee is looked for."""

    climb_s: float = Field(default=4, gt=0, description="seconds at each number of users")
    climb_to: int = Field(default=32, ge=2, description="most users of the climb")


def shares(plan: Plan, measured: Measured) -> Iterator[Stage]:
    """Look for the knee with a short closed climb, then open stages at shares of its rate.

    With a rate planned, that rate alone is open and nothing is climbed. Raises `CannotRunError`
    when the climb was never answered.
    """
    profile = plan.profile
    if profile.rate is not None:
        yield _open(f"{profile.rate:g}/s", profile.rate, profile, judged=True)
        return
    parameters = LatencyParameters.model_validate(plan.parameters)
    most = yield from rate_at_knee(measured, most=parameters.climb_to, seconds=parameters.climb_s)
    for share in SHARES:
        rate = round(share * most, 2)
        yield _open(f"{share:.0%} of the knee", rate, profile, judged=share <= JUDGED)


def _open(name: str, rate: float, profile: Profile, *, judged: bool) -> Stage:
    return Stage(
        name=name,
        load=Load.OPEN,
        users=profile.users,
        rate=rate,
        warm_up_s=profile.warm_up_s,
        load_s=profile.load_s,
        judged=judged,
    )


LATENCY = Scenario(
    name="latency",
    summary="25, 50, 75, 90 % of the knee's rate (or --rate), Poisson arrivals; open load",
    users="workloads.users.tracking:Tracker",
    profiles={
        "quick": Profile(users=64, warm_up_s=3, load_s=15, finish_s=60),
        "full": Profile(users=128, warm_up_s=10, load_s=60, finish_s=60),
    },
    objectives=dict.fromkeys(PROFILES, Objectives(error_rate=0, p95_ms=500, min_rate=1)),
    stages=shares,
    parameters=dict.fromkeys(PROFILES, LatencyParameters()),
)
