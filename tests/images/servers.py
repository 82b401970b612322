"""Tracking servers on the shared PostgreSQL."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from infra.components.capacity import REQUESTS_AT_ONCE
from tests.images.sandbox import Sandbox, logs, wait_until
from tests.integration.workloads.conftest import answers

ENVIRONMENT = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_SQL_TRACE_ROLLUPS_ENABLED": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


@contextmanager
def stacks_server(sandbox: Sandbox, image: str) -> Iterator[str]:
    """The server of a stack, in its image; gives its address."""
    command = ["mlflow", "server", "--app-name=mlflow-bench", "--host=0.0.0.0", "--workers=1"]
    command += ["--backend-store-uri=postgresql+psycopg2://mlflow@postgres:5432/mlflow"]
    command += ["--artifacts-destination=/tmp/artifacts"]
    ports = {"5000/tcp": ("127.0.0.1", None)}
    settings = ENVIRONMENT | {"MLFLOW_BENCH_REQUESTS_AT_ONCE": str(REQUESTS_AT_ONCE)}
    container = sandbox.run(image, command, environment=settings, ports=ports)
    try:
        container.reload()
        published: Any = container.ports
        address = f"http://127.0.0.1:{published['5000/tcp'][0]['HostPort']}"
        try:
            wait_until(lambda: answers(address), 120, "the server answers")
        except AssertionError:
            pytest.fail(logs(container)[-3000:])
        yield address
    finally:
        container.remove(force=True, v=True)
