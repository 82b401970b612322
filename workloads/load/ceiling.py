"""The ceiling of the load generator: its rate against a server that does nothing.

It takes the whole generator: the real client, the history, Locust. Its users log runs, with as
many metrics a call as the scenario's users.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import gevent  # type: ignore[import-untyped]

from workloads.history import record
from workloads.history.history import History
from workloads.load.generator import Generator
from workloads.plan.plan import Plan, Profile, Stage

WARM_UP_S = 1.0
LOAD_S = 3.0
LEAST_USERS = 8
"""At least one of each process, and enough that none of them is ever idle."""


class Ceiling:
    """A null server and generator processes that wait for `measure`.

    To be made before anything runs on the event loop, as `Generator` is.
    """

    def __init__(self, plan: Plan) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", "workloads.load.null_server"],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._server.stdout
        uri = f"http://127.0.0.1:{self._server.stdout.readline().strip()}"
        self._folder = tempfile.TemporaryDirectory(prefix="mlflow-bench-")
        self._path = Path(self._folder.name) / "history.jsonl"
        users = max(LEAST_USERS, plan.processes)
        profile = Profile(users=users, warm_up_s=WARM_UP_S, load_s=LOAD_S, finish_s=5)
        self._plan = plan.model_copy(
            update={"profile": profile, "tracking_uri": uri, "computes": False}
        )
        self._stage = Stage(name="ceiling", users=users, warm_up_s=WARM_UP_S, load_s=LOAD_S)
        history = History(self._path)
        history.event("plan", plan=self._plan.model_dump(mode="json"))
        self._history = history
        from workloads.users.tracking import Tracker

        self._generator = Generator(Tracker, self._plan, history, Path(self._folder.name) / "log")

    def measure(self) -> float:
        """Return calls/s of all processes together."""
        self._generator.connect()
        self._generator.begin(self._stage)
        for phase, seconds in (("warm-up", WARM_UP_S), ("load", LOAD_S)):
            self._history.event("phase", phase=phase, stage=self._stage.model_dump(mode="json"))
            gevent.sleep(seconds)
        self._history.event("phase", phase="finish")
        self._generator.stop()
        recorded = record.load(self._path)
        [window] = recorded.windows
        calls = recorded.of_type(recorded.within(window), "call")
        return float(calls["ok"].sum() / window.seconds)

    def close(self) -> None:
        """End the processes that are left, and the server."""
        self._generator.kill()
        self._server.terminate()  # other processes hold the other end of its input too
        self._server.communicate()
        self._folder.cleanup()
