"""What a whole team does at once."""

from pydantic import Field

from workloads.plan.plan import Objectives, Profile
from workloads.scenarios.artifacts import ArtifactsParameters, file_steps
from workloads.scenarios.metrics import MetricsParameters
from workloads.scenarios.scenario import PROFILES, Parameters, Scenario
from workloads.scenarios.traces import TeamTraces, team_steps


class MixedParameters(MetricsParameters, ArtifactsParameters, TeamTraces):
    """What runs log, which files, and which traces."""

    sizes_kib: tuple[int, ...] = Field(
        default=(16, 64), description="sizes in KiB, with commas between"
    )


def team(parameters: Parameters) -> tuple[str, ...]:
    """Names of a team's steps."""
    return (*file_steps(parameters), *team_steps(parameters))


MIXED = Scenario(
    name="mixed",
    summary="a team: logging, looking around, small files, models; closed, or open by --rate",
    users="workloads.users.team:Team",
    profiles={
        "quick": Profile(users=8, warm_up_s=4, load_s=15, finish_s=60),
        "full": Profile(users=16, warm_up_s=15, load_s=120, finish_s=60),
    },
    objectives=dict.fromkeys(PROFILES, Objectives(error_rate=0, p95_ms=1000, min_rate=10)),
    parameters=dict.fromkeys(PROFILES, MixedParameters()),
    steps=team,
)
