"""Parts of a run, in a process of its own: Locust patches the standard library.

python -m tests.integration.workloads.drive read-back URI FOLDER
python -m tests.integration.workloads.drive reconcile URI FOLDER
python -m tests.integration.workloads.drive load URI FOLDER SCENARIO USERS RATE SECONDS
python -m tests.integration.workloads.drive late URI FOLDER SCENARIO USERS RATE SECONDS
python -m tests.integration.workloads.drive hasty URI FOLDER SCENARIO USERS RATE SECONDS
python -m tests.integration.workloads.drive heavy URI FOLDER SCENARIO USERS RATE SECONDS
python -m tests.integration.workloads.drive early URI FOLDER SCENARIO USERS RATE SECONDS
python -m tests.integration.workloads.drive watched URI FOLDER SCENARIO USERS RATE SECONDS
python -m tests.integration.workloads.drive reporting URI FOLDER SCENARIO USERS RATE SECONDS
python -m tests.integration.workloads.drive elsewhere URI FOLDER SCENARIO USERS RATE SECONDS

`reconcile` removes doubles before it reads back. `late` is `load` with processes that are held up
for half a second as soon as Locust's master knows them, `hasty` gives users 1 s to finish, and
those of `heavy` log 1000 metrics in a call. `early` is `load` with --fail-fast and an objective
that no server reaches, `watched` has a page, whose address it prints. `reporting` is `load` as a
pod of a cluster does it, `elsewhere` the page of what that reports.
`load` makes no experiment and reads nothing back, so that any HTTP server will do; RATE 0 is a
closed load.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from workloads.load import client_settings
from workloads.plan.plan import Objectives
from workloads.target.access import Access
from workloads.web import Web


def read_back(uri: str, folder: str, *, reconcile: bool) -> int:
    client_settings.configure(uri, Access())
    from workloads.history.history import HISTORY
    from workloads.history.record import load
    from workloads.report.live import LiveView
    from workloads.runner import phases
    from workloads.target.target import at
    from workloads.verdict.judge import conclude

    plan = load(Path(folder) / HISTORY).plan
    with LiveView(plan) as view:
        if reconcile:
            phases.remove_duplicates(at(uri), plan, Path(folder), view)
        phases.read_back(at(uri), plan, Path(folder), view)
    return conclude(Path(folder)).verdict.judgement.exit_status


def load(
    uri: str,
    folder: str,
    name: str,
    users: str,
    rate: str,
    seconds: str,
    *,
    finish_s: float | None = None,
    metrics: int | None = None,
    web: Web | None = None,
    reports: bool = False,
    **other: Any,
) -> int:
    client_settings.configure(uri, Access())
    from workloads.load import driver as generating
    from workloads.plan.plan import Plan
    from workloads.report.live import LiveView
    from workloads.scenarios import SCENARIOS
    from workloads.target.target import at

    scenario = SCENARIOS[name]
    changes = {"users": int(users), "rate": float(rate) or None, "load_s": float(seconds)}
    changes |= {"finish_s": finish_s} if finish_s else {}
    plan = Plan(
        scenario=name,
        profile_name="quick",
        profile=scenario.profiles["quick"].model_copy(update=changes | {"warm_up_s": 1.0}),
        parameters=scenario.parameters_of("quick").model_dump()
        | ({"metrics": metrics} if metrics else {}),
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
    ).model_copy(update=other)
    from workloads.in_cluster.__main__ import report
    from workloads.in_cluster.reporting_view import ReportingView

    live = ReportingView(plan, report) if reports else LiveView(plan, web=web)
    with live as view:
        generating.load(at(uri), scenario, plan, Path(folder), view)
    if reports:
        report(ended=None, files={})
    return 0


def early(*arguments: str) -> int:
    return load(
        *arguments,
        fail_fast=True,
        objectives=Objectives(error_rate=0, p95_ms=60_000, min_rate=100_000),
    )


def watched(*arguments: str) -> int:
    with Web(0, Path(arguments[1])) as web:
        print(web.address, flush=True)
        return load(*arguments, web=web)


class PodOfTheTest:
    """A process of this machine, as the coordinator has the pod of its Job."""

    def __init__(self, arguments: tuple[str, ...]) -> None:
        self._command = [sys.executable, "-m", __spec__.name, "reporting", *arguments]

    def __enter__(self) -> "PodOfTheTest":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def updates(self) -> Iterator[Any]:
        from workloads.in_cluster.job import Update

        with subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True) as pod:
            assert pod.stdout
            for line in pod.stdout:
                if line.startswith("{"):
                    now = time.time_ns()
                    yield Update(json.loads(line), now, now)


def elsewhere(*arguments: str) -> int:
    client_settings.configure(arguments[0], Access())
    import locust  # noqa: F401

    from tests.unit.workloads.builders import plan
    from workloads.history.history import History
    from workloads.in_cluster.coordinator import _follow
    from workloads.report.live import LiveView

    folder = Path(arguments[1])
    observers: Any = SimpleNamespace(start=int, stop=int, look_at_servers=int)
    pod: Any = PodOfTheTest(arguments)
    with Web(0, folder) as web, LiveView(plan(scenario="metrics", subject="test"), web=web) as view:
        print(web.address, flush=True)
        assert _follow(pod, observers, History(folder / "outside.jsonl"), folder, view) is None
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
        "hasty": partial(load, finish_s=1.0),
        "heavy": partial(load, metrics=1000),
        "early": early,
        "watched": watched,
        "reporting": partial(load, reports=True),
        "elsewhere": elsewhere,
        "read-back": partial(read_back, reconcile=False),
        "reconcile": partial(read_back, reconcile=True),
    }
    sys.exit(drives[what](*rest))
