"""The Job's pod: loads by the plan, reports progress, and keeps the history until it is copied.

It reports in JSON lines in its log: `phase`, `seconds`, `figures` and `load` as the live view and
its page have them, at the end `ended` with an error or null and `files` with the checksum of each;
all with `wall_ns`. The machine outside removes the Job when it has the files.
"""

import json
import os
import signal
import sys
import time

from workloads import CannotRunError, in_cluster
from workloads.in_cluster.pod_files import (
    ACCESS_FOLDER,
    NODE,
    PLAN,
    PLAN_FOLDER,
    RESULTS,
    SOURCES,
    checksum,
)
from workloads.load import client_settings
from workloads.plan.plan import Plan
from workloads.target.access import from_files

KEPT_S = 600
"""How long the files are kept; by then the machine outside has them or has ended."""


def main() -> int:
    """Load; returns the exit status of the container."""
    signal.signal(signal.SIGTERM, _interrupt)
    report(phase="starting", seconds=None, figures="", load=None)
    error = None
    try:
        _load()
    except CannotRunError as failure:
        error = str(failure)
    files = {path.name: checksum(path) for path in RESULTS.iterdir() if path.stat().st_size}
    report(ended=error, files=files)
    time.sleep(KEPT_S)
    return 0


def report(**fields: object) -> None:
    """Print a line for the machine outside."""
    print(json.dumps(fields | {"wall_ns": time.time_ns()}), flush=True)  # noqa: T201


def _load() -> None:
    if (PLAN_FOLDER / SOURCES).read_text() != in_cluster.code_digest():
        raise CannotRunError("its image is of other code than this machine's: run `pulumi up`")
    plan = Plan.model_validate_json((PLAN_FOLDER / PLAN).read_text())
    client_settings.configure(plan.tracking_uri, from_files(ACCESS_FOLDER))
    # Locust patches the standard library for gevent: before everything that uses sockets.
    import locust  # noqa: F401

    from workloads.in_cluster.reporting_view import ReportingView
    from workloads.load import set_up
    from workloads.load.driver import load, processes
    from workloads.observation.observers import PodObservers
    from workloads.plan import environment
    from workloads.scenarios import SCENARIOS
    from workloads.target.target import at

    scenario = SCENARIOS[plan.scenario]
    versions = environment.describe(plan.tracking_uri, None)
    versions["load"] = f"from inside the cluster: one pod, on node {os.environ[NODE]}"
    changes = {
        "environment": plan.environment | versions,
        "processes": processes(scenario, plan.profile),
    }
    plan = plan.model_copy(update=changes)
    view = ReportingView(plan, report)
    if scenario.set_up:
        plan = set_up.run(scenario.set_up, plan, view)
    load(at(plan.tracking_uri), scenario, plan, RESULTS, view, PodObservers)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
