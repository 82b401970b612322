"""The run that goes on as a page of a browser (`--web`), served on loopback by a process beside it.

Locust's own page is not used: its server reads this program's command line as Locust's, any web
site may ask it, and it knows neither the phases and faults of a run nor a load inside a cluster.

The process ends with its input, so that the port is free however the run ends.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from workloads import CannotRunError
from workloads.load.backlog import Sent
from workloads.plan.plan import Plan

if TYPE_CHECKING:  # a process that is begun before Locust patches the standard library is plain
    from locust.stats import RequestStats, StatsEntry

SERVER = Path(__file__).parent / "server.py"

EVERY_S = 1.0
PATIENCE_S = 10.0

Figures = dict[str, Any]
"""What the page shows of a load: a `point` of its charts, and a row for each of `operations`."""


def figures_of(stats: "RequestStats", sent: Sent | None = None) -> Figures:
    """Return what Locust has counted so far: calls/s, errors and p95 in ms, and each operation.

    Of a load with traces also what clients have `sent`, and not.
    """
    total = stats.total
    point: dict[str, object] = {
        "rate": round(total.current_rps, 1),
        "errors": total.num_failures,
        "p95": total.get_current_response_time_percentile(0.95) if total.num_requests else None,
    }
    if sent:
        point |= sent._asdict()
    rows = sorted(stats.entries.values(), key=lambda entry: (entry.name, entry.method))
    return {"point": point, "operations": [_row(entry) for entry in rows]}


class Web:
    """Tells a page what the live view shows. Raises `CannotRunError` if the port cannot be had."""

    def __init__(self, port: int, folder: Path) -> None:
        self._last_sent = 0.0
        self._state: dict[str, object] = {"folder": str(folder)} | _phase("starting", None)
        self._server = subprocess.Popen(
            [sys.executable, str(SERVER), str(port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is for the run, which ends this
        )
        assert self._server.stdin
        assert self._server.stdout
        answer = self._server.stdout.readline().strip()
        if not answer.startswith("http://"):
            self._close()
            raise CannotRunError(f"--web {port}: {answer or 'it did not start'}; give another port")
        self.address = answer
        # A page that hangs must not hold up the run.
        os.set_blocking(self._server.stdin.fileno(), False)

    def __enter__(self) -> "Web":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def begin(self, plan: Plan) -> None:
        """Say what is run."""
        self._state["title"] = f"{plan.scenario} against {plan.subject}"
        self._state["what"] = (
            f"{plan.tracking_uri}, profile {plan.profile_name}, seed {plan.seed}, "
            f"p95 objective {plan.objectives.p95_ms:g} ms"
        )
        self._state["objective_ms"] = plan.objectives.p95_ms

    def phase(self, name: str, seconds: float | None) -> None:
        """Begin a phase of so many seconds, None if that is not known."""
        self._state |= _phase(name, seconds)
        self._send()

    def load(self, stats: "RequestStats", sent: Sent | None = None) -> None:
        """Show what Locust has counted so far; at most once a second, whatever is asked."""
        if time.monotonic() - self._last_sent >= EVERY_S:
            self.show(figures_of(stats, sent))

    def show(self, figures: Figures) -> None:
        """Show the figures of a load, counted here or elsewhere."""
        self._state["operations"] = figures["operations"]
        self._send(figures["point"])

    def figures(self, text: str) -> None:
        """Show figures that were put into words elsewhere."""
        self._state["figures"] = text
        if time.monotonic() - self._last_sent >= EVERY_S:
            self._send()

    def _send(self, point: dict[str, object] | None = None) -> None:
        assert self._server.stdin
        self._last_sent = time.monotonic()
        line = json.dumps(self._state | {"point": point, "now": time.time()})
        with contextlib.suppress(BlockingIOError, BrokenPipeError):
            os.write(self._server.stdin.fileno(), line.encode() + b"\n")

    def _close(self) -> None:
        assert self._server.stdin
        assert self._server.stdout
        self._server.terminate()
        try:
            self._server.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        with contextlib.suppress(BrokenPipeError):
            self._server.stdin.close()
        self._server.stdout.close()


def _phase(name: str, seconds: float | None) -> dict[str, object]:
    return {"phase": name, "seconds": seconds, "since": time.time(), "figures": ""}


def _row(entry: "StatsEntry") -> list[object]:
    """Return name, count, errors, calls/s, and p50, p95 and p99 in ms, of all of the run so far."""
    spread = [entry.get_response_time_percentile(share) for share in (0.5, 0.95, 0.99)]
    name = f"{entry.method} {entry.name}"
    return [name, entry.num_requests, entry.num_failures, round(entry.current_rps, 1), *spread]
