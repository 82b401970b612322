"""A probe of a stack under faults: 20 reads a second, each on its own, without retries.

The client's own retries hide how long a server was away (a second looks like five), so this asks
beside it. Probes are sent when they are due, whether or not earlier ones were answered: one that
hangs hides nothing. Each reads the database, over a connection of its own.
"""

import gc
import time
from collections.abc import Callable
from typing import Any

import gevent  # type: ignore[import-untyped]
import requests

from workloads import environment, priority
from workloads.history import History
from workloads.observation.forked import Forked
from workloads.plan import Plan

RATE = 20
"""Probes a second."""

PATIENCE_S = 10.0
"""After this a probe has failed."""

WRITE_S = 1.0


class Probe(Forked):
    """Probes from `start` on; a line a second in the history: `[sent in ns, ms, error]` of each."""

    def __init__(self, plan: Plan, history: History) -> None:
        url = f"{plan.tracking_uri}/api/2.0/mlflow/experiments/get"
        super().__init__(
            lambda goes_on: _probe(f"{url}?experiment_id={plan.experiment_id}", history, goes_on)
        )


def _probe(url: str, history: History, goes_on: Callable[[], bool]) -> None:
    priority.raise_own()
    gc.freeze()
    looks: list[list[Any]] = []
    due = written = time.monotonic()
    while goes_on():
        gevent.spawn(_look, url, looks)
        due += 1 / RATE
        if due - written >= WRITE_S:
            history.event("probe", looks=looks[:])
            looks.clear()
            written = due
        gevent.sleep(max(0.0, due - time.monotonic()))


def _look(url: str, looks: list[list[Any]]) -> None:
    sent = time.monotonic_ns()
    error = None
    try:
        answer = requests.get(
            url,
            timeout=PATIENCE_S,
            auth=environment.credentials(),
            verify=environment.verify(),
            headers={"Connection": "close"},
        )
        if not answer.ok:
            error = f"HTTP {answer.status_code}"
    except requests.RequestException as failed:
        error = type(failed).__name__
    looks.append([sent, round((time.monotonic_ns() - sent) / 1e6, 1), error])
