"""What the pod of a Job does: load by the plan, tell how it goes, keep the history to be taken.

It tells by lines of JSON in its log: `phase`, `seconds` and `figures` as the live view has them,
at last `ended` with what went wrong (null: nothing) and `files` with the seal of each by name; all
with `wall_ns`. The machine outside removes the Job when it has the files.
"""

import json
import os
import signal
import sys
import time

from workloads import inside, settings
from workloads.errors import CannotRunError
from workloads.inside.files import NODE, PLAN, PLAN_FOLDER, RESULTS, SOURCES, seal
from workloads.plan import Plan

TELL_S = 1.0

TAKEN_S = 600
"""The files are kept for so long; a machine outside that ended has no use for them."""


def main() -> int:
    """Load; returns the exit status of the container."""
    signal.signal(signal.SIGTERM, _interrupt)
    tell(phase="starting", seconds=None, figures="")
    error = None
    try:
        _load()
    except CannotRunError as caught:
        error = str(caught)
    files = {path.name: seal(path) for path in RESULTS.iterdir() if path.stat().st_size}
    tell(ended=error, files=files)
    time.sleep(TAKEN_S)
    return 0


def tell(**fields: object) -> None:
    """Print a line for the machine outside."""
    print(json.dumps(fields | {"wall_ns": time.time_ns()}), flush=True)  # noqa: T201


def _load() -> None:
    if (PLAN_FOLDER / SOURCES).read_text() != inside.sources():
        raise CannotRunError("its image is of other code than this machine's: run `pulumi up`")
    plan = Plan.model_validate_json((PLAN_FOLDER / PLAN).read_text())
    settings.configure(plan.tracking_uri)
    # Locust patches the standard library for gevent: before everything that uses sockets.
    import locust  # noqa: F401

    from workloads import environment, set_up
    from workloads.load import load, processes
    from workloads.observation.beside import BesidePod
    from workloads.report.live import LiveView
    from workloads.scenarios import SCENARIOS
    from workloads.target import at

    class Teller(LiveView):
        """Tells what a live view would show."""

        def _show(self, *, said: bool = False) -> None:
            if said or time.monotonic() - self._said >= TELL_S:
                self._said = time.monotonic()
                tell(phase=self._name, seconds=self._seconds, figures=self._figures)

    scenario = SCENARIOS[plan.scenario]
    here = environment.describe(plan.tracking_uri, None)
    here["load"] = f"from inside the cluster: one pod, on node {os.environ[NODE]}"
    known = {"environment": plan.environment | here, "processes": processes(scenario, plan.profile)}
    plan = plan.model_copy(update=known)
    view = Teller(plan)
    if scenario.set_up:
        plan = set_up.run(scenario.set_up, plan, view)
    load(at(plan.tracking_uri), scenario, plan, RESULTS, view, BesidePod)


def _interrupt(_signal: int, _frame: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
