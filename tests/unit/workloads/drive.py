"""Parts of a run, in a process of its own: Locust patches the standard library.

python -m tests.unit.workloads.drive read-back URI FOLDER
python -m tests.unit.workloads.drive reconcile URI FOLDER
python -m tests.unit.workloads.drive load URI FOLDER SCENARIO USERS RATE SECONDS

`reconcile` removes doubles before it reads back.
`load` makes no experiment and reads nothing back, so that any HTTP server will do; RATE 0 is a
closed load.
"""

import sys
from pathlib import Path

from workloads import settings


def read_back(uri: str, folder: str, *, reconcile: bool) -> int:
    settings.configure(uri)
    from workloads import run
    from workloads.history import HISTORY
    from workloads.judge import conclude
    from workloads.record import load
    from workloads.report.live import LiveView
    from workloads.target import at

    plan = load(Path(folder) / HISTORY).plan
    with LiveView(plan) as view:
        if reconcile:
            run.remove_doubles(at(uri), plan, Path(folder), view)
        run.read_back(at(uri), plan, Path(folder), view)
    return conclude(Path(folder)).verdict.judgement.exit_status


def load(uri: str, folder: str, name: str, users: str, rate: str, seconds: str) -> int:
    settings.configure(uri)
    from workloads import load as generating
    from workloads.plan import Plan
    from workloads.report.live import LiveView
    from workloads.scenarios import SCENARIOS
    from workloads.target import at

    scenario = SCENARIOS[name]
    changes = {"users": int(users), "rate": float(rate) or None, "load_s": float(seconds)}
    plan = Plan(
        scenario=name,
        profile_name="quick",
        profile=scenario.profiles["quick"].model_copy(update=changes | {"warm_up_s": 1.0}),
        parameters=scenario.parameters_of("quick").model_dump(),
        objectives=scenario.objectives["quick"],
        seed=1,
        subject="test",
        tracking_uri=uri,
        target=None,
        processes=2,
        computes=False,
        experiment_id="1",
        started="2026-01-02T03:04:05+00:00",
        environment={},
    )
    with LiveView(plan) as view:
        generating.load(at(uri), scenario, plan, Path(folder), view)
    return 0


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    sys.exit(load(*rest) if what == "load" else read_back(*rest, reconcile=what == "reconcile"))
