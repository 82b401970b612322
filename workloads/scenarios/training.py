"""What teams do all day: train, log, store the model."""

from workloads.plan.plan import Objectives, Profile
from workloads.scenarios.scenario import Scenario

TRAINING = Scenario(
    name="training",
    summary="random forest with autologging, metric curves, linear regression; closed load",
    users="workloads.users.trainer:Trainer",
    profiles={
        "quick": Profile(users=3, warm_up_s=4, load_s=10, finish_s=60),
        "full": Profile(users=4, warm_up_s=15, load_s=120, finish_s=60),
    },
    objectives={
        "quick": Objectives(error_rate=0, p95_ms=1000, min_rate=10),
        "full": Objectives(error_rate=0, p95_ms=2000, min_rate=10),
    },
    computes=True,
    can_be_open=False,
    steps=lambda _: ("random_forest", "curves", "linear_regression"),
)
