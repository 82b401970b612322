"""Figures of a tracking server in Prometheus' text format: requests by route, and those in work.

MLflow's own exporter counts below gunicorn only, which it does not run any more.
"""

# mypy: allow-untyped-calls

import hmac
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATH = "/metrics"

FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""Variable with the folder that the workers share; without it nothing is counted."""

TOKEN_FILE = Path("/run/secrets/metrics-token")
"""What whoever asks for the figures has to show, where the server has users."""

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


def measured(
    application: "ASGIApp", route_of: Callable[[str, str], str], token: str | None = None
) -> "ASGIApp":
    """Return the application with its figures at `PATH`, of all workers together.

    `route_of` names the route of a path and a method: one of a few, or there would be a series
    for each run. With a `token`, only who shows it as a bearer token is told them; of others the
    application decides.
    """
    # They look for the folder when they are imported.
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
    from prometheus_client.multiprocess import MultiProcessCollector
    from starlette.responses import Response

    folder = Path(os.environ[FOLDER])
    requests = Counter(
        "mlflow_http_requests", "Requests that were answered.", ["method", "route", "status"]
    )
    seconds = Histogram(
        "mlflow_http_request_duration_seconds",
        "From a request to the end of its answer.",
        ["method", "route"],
        buckets=BUCKETS_S,
    )
    in_flight = Gauge(
        "mlflow_http_requests_in_flight",
        "Requests without an answer yet.",
        multiprocess_mode="livesum",
    )

    def figures() -> Response:
        _forget_the_dead(folder)
        registry = CollectorRegistry()
        MultiProcessCollector(registry, str(folder))
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_PLAIN_0_0_4)

    async def counted(scope: "Scope", receive: "Receive", send: "Send") -> None:
        if scope["type"] != "http":
            await application(scope, receive, send)
            return
        if scope["path"] == PATH and (token is None or _shows(scope, token)):
            await figures()(scope, receive, send)
            return
        status = "none"

        async def seen(message: "Message") -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
            await send(message)

        method, route = scope["method"], route_of(scope["path"], scope["method"])
        began = time.perf_counter()
        in_flight.inc()
        try:
            await application(scope, receive, seen)
        finally:
            in_flight.dec()
            seconds.labels(method, route).observe(time.perf_counter() - began)
            requests.labels(method, route, status).inc()

    return counted


def _shows(scope: "Scope", token: str) -> bool:
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    return len(given) == 1 and hmac.compare_digest(given[0], f"Bearer {token}".encode())


def _forget_the_dead(folder: Path) -> None:
    """Leave out what a worker that was killed had in work."""
    from prometheus_client.multiprocess import mark_process_dead

    for file in folder.glob("gauge_live*_*.db"):
        pid = int(file.stem.rpartition("_")[2])
        if not Path(f"/proc/{pid}").exists():
            mark_process_dead(pid, str(folder))
