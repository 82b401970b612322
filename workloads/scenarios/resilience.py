"""Faults under load: what users notice of them, and the recovery time."""

from collections.abc import Iterator
from typing import Any, Self

from pydantic import Field

from workloads.plan.plan import Load, Objectives, Plan, Profile, Stage
from workloads.scenarios.artifacts import ArtifactsParameters
from workloads.scenarios.climb import rate_at_knee
from workloads.scenarios.mixed import team
from workloads.scenarios.scenario import PROFILES, Measured, Scenario
from workloads.scenarios.traces import TeamTraces

SHARE = 0.5
"""Share of the knee: what is left of a stack while a part of it is away should carry it."""

CLIMB_S = 4.0
CLIMB_TO = 16


RENAMED = {
    "gap_s": "outage_limit_s",
    "failed_share": "error_rate_limit",
    "served_s": "recovery_time_limit_s",
}
"""Parameters of older histories and their present names."""


class ResilienceParameters(ArtifactsParameters, TeamTraces):
    """How long faults last, and what the stack has to reach; times in s."""

    metrics: int = Field(default=10, ge=1, le=1000, description="metrics in a batch")
    sizes_kib: tuple[int, ...] = Field(
        default=(16, 64), description="sizes in KiB, with commas between"
    )
    fault_s: float = Field(default=4, gt=0, description="seconds that a fault is in effect")
    recovery_s: float = Field(
        default=8, gt=0, description="least seconds of load after each fault is healed"
    )
    patience_s: float = Field(
        default=30, gt=0, description="most of them: the load goes on until service is restored"
    )
    count: int = Field(default=10, ge=1, description="how many faults of `--fault random`")
    outage_limit_s: float | None = Field(
        default=None,
        gt=0,
        description="objective: longest outage of a path that a fault affects, in s; without it, "
        "that of each fault",
    )
    error_rate_limit: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="objective: highest share of failed calls until service is restored",
    )
    recovery_time_limit_s: float = Field(
        default=10, ge=0, description="objective: longest recovery time, in s"
    )
    trace_recovery_time_limit_s: float = Field(
        default=20,
        ge=0,
        description="objective: longest time from the healing until all traces arrive again, in s",
    )

    @classmethod
    def recorded(cls, parameters: dict[str, Any]) -> Self:
        """Return the parameters of a history, without what the set-up added to them."""
        present = {RENAMED.get(name, name): value for name, value in parameters.items()}
        return cls.model_validate({k: v for k, v in present.items() if k in cls.model_fields})


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
    summary="a team that does everything at half of the knee or --rate, while --fault breaks it",
    users="workloads.users.relay:Relay",
    profiles={
        # Users by far enough that a call finds a free one while others wait to try again.
        "quick": Profile(users=96, rate=20, warm_up_s=3, load_s=10, finish_s=40),
        "full": Profile(users=128, warm_up_s=15, load_s=60, finish_s=60),
    },
    objectives=dict.fromkeys(PROFILES, Objectives(error_rate=0, p95_ms=1000, min_rate=10)),
    stages=baseline,
    parameters={
        "quick": ResilienceParameters(),
        "full": ResilienceParameters(
            fault_s=30, recovery_s=60, patience_s=180, trace_recovery_time_limit_s=60
        ),
    },
    breaks=True,
    steps=team,
)
