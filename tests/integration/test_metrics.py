"""A tracking server counts its requests by route, of all its workers together."""

import os
import subprocess
import sys
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

WORKER = """
import asyncio, sys
from infra.images.mlflow.stores.mlflow_bench_stores.metrics import measured

async def application(scope, receive, send):
    if scope["path"] == "/broken":
        raise OSError("broken")
    if scope["path"] == "/hangs":
        print("hangs", flush=True)
        await asyncio.sleep(60)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"done"})

async def ask(path):
    sent = []
    async def send(message):
        sent.append(message)
    try:
        await counted({"type": "http", "method": "GET", "path": path}, None, send)
    except OSError:
        pass
    return b"".join(one.get("body", b"") for one in sent).decode()

counted = measured(application, lambda path, method: path.rstrip("0123456789"))
for path in sys.argv[1:]:
    answer = asyncio.run(ask(path))
print(answer)
"""


def _worker(folder: Path, *paths: str) -> "subprocess.Popen[str]":
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder)}
    command = [sys.executable, "-c", WORKER, *paths]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


def _figures(folder: Path, *paths: str) -> dict[tuple[str, ...], float]:
    said, _ = _worker(folder, *paths, "/metrics").communicate(timeout=180)
    return {
        (one.name, *sorted(one.labels.values())): one.value
        for family in text_string_to_metric_families(said)
        for one in family.samples
    }


def test_workers_are_added_up_by_route(tmp_path: Path) -> None:
    _figures(tmp_path, "/runs/1", "/runs/2", "/broken")
    found = _figures(tmp_path, "/runs/3")
    assert found["mlflow_http_requests_total", "/runs/", "200", "GET"] == 3
    assert found["mlflow_http_requests_total", "/broken", "GET", "none"] == 1
    assert found["mlflow_http_request_duration_seconds_count", "/runs/", "GET"] == 3
    assert found["mlflow_http_request_duration_seconds_bucket", "/runs/", "60.0", "GET"] == 3
    assert found[("mlflow_http_requests_in_flight",)] == 0


def test_what_a_killed_worker_had_in_work_is_forgotten(tmp_path: Path) -> None:
    worker = _worker(tmp_path, "/hangs")
    assert worker.stdout
    assert worker.stdout.readline() == "hangs\n"
    assert _figures(tmp_path)[("mlflow_http_requests_in_flight",)] == 1
    worker.kill()
    worker.wait(10)
    worker.stdout.close()
    assert _figures(tmp_path)[("mlflow_http_requests_in_flight",)] == 0
