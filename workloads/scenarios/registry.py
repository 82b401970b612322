"""Registering models: names, versions, aliases."""

from workloads.plan.plan import Objectives, Profile
from workloads.scenarios.scenario import PROFILES, Scenario

REGISTRY = Scenario(
    name="registry",
    summary="models, versions, aliases, and looking them up; closed, or open by --rate",
    users="workloads.users.model_registry:Registrar",
    profiles={
        "quick": Profile(users=4, warm_up_s=4, load_s=15, finish_s=60),
        "full": Profile(users=16, warm_up_s=15, load_s=120, finish_s=60),
    },
    objectives=dict.fromkeys(PROFILES, Objectives(error_rate=0, p95_ms=1000, min_rate=10)),
)
