"""Parts of a run, in a process of its own: Locust patches the standard library.

python -m tests.unit.workloads.drive read-back URI FOLDER
python -m tests.unit.workloads.drive reconcile URI FOLDER
python -m tests.unit.workloads.drive load URI FOLDER SCENARIO USERS RATE SECONDS
python -m tests.unit.workloads.drive late URI FOLDER SCENARIO USERS RATE SECONDS

`reconcile` removes doubles before it reads back. `late` is `load` with processes that are held up
for half a second as soon as Locust's master knows them.
`load` makes no experiment and reads nothing back, so that any HTTP server will do; RATE 0 is a
closed load.
"""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

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


def late(*arguments: str) -> int:
    import gevent  # type: ignore[import-untyped]
    from locust.env import Environment
    from locust.runners import WorkerRunner

    create = Environment.create_worker_runner

    def created(self: Environment, host: str, port: int) -> WorkerRunner:
        runner = create(self, host, port)
        gevent.sleep(0.5)
        return runner

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Environment, "create_worker_runner", created)
        return load(*arguments)


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    drives: dict[str, Callable[..., int]] = {
        "load": load,
        "late": late,
        "read-back": partial(read_back, reconcile=False),
        "reconcile": partial(read_back, reconcile=True),
    }
    sys.exit(drives[what](*rest))
