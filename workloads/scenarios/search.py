"""Searching among many runs, with answers that are known."""

from pydantic import Field

from workloads.plan.plan import Objectives, Profile
from workloads.scenarios.scenario import Parameters, Scenario

BY_METRIC = "search by metric, in order"
BY_PARAMETER = "search by parameter and tag"
BY_ALL = "search by all"
PAGES = "first two pages"


class SearchParameters(Parameters):
    """What is searched."""

    runs: int = Field(default=500, ge=1, description="runs that are made before, and kept")


SEARCH = Scenario(
    name="search",
    summary="searches among many runs, with known answers; closed, or open by --rate",
    users="workloads.users.searching:Searcher",
    profiles={
        "quick": Profile(users=4, warm_up_s=4, load_s=15, finish_s=60),
        "full": Profile(users=8, warm_up_s=15, load_s=120, finish_s=60),
    },
    objectives={
        "quick": Objectives(error_rate=0, p95_ms=2000, min_rate=2),
        "full": Objectives(error_rate=0, p95_ms=5000, min_rate=1),
    },
    parameters={"quick": SearchParameters(), "full": SearchParameters(runs=10_000)},
    set_up="workloads.users.searching:make_runs",
    steps=lambda _: (BY_METRIC, BY_PARAMETER, BY_ALL, PAGES),
)
