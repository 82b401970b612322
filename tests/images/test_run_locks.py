"""A run whose rows a lost server holds is that run's trouble, and not everybody's."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from infra.components.capacity import REQUESTS_AT_ONCE, THREADS_PER_WORKER
from tests.images.sandbox import PASSWORD, Postgres, Sandbox
from tests.images.servers import stacks_server

pytestmark = pytest.mark.plugins

WAITING = THREADS_PER_WORKER + REQUESTS_AT_ONCE
"""More than a worker has threads."""


def test_who_logs_to_another_run_does_not_wait(
    sandbox: Sandbox, mlflow_image: str, server: Postgres
) -> None:
    uri = f"postgresql+psycopg2://mlflow:{PASSWORD}@127.0.0.1:{server.port}/mlflow"
    server.sql(
        "DROP DATABASE IF EXISTS mlflow WITH (FORCE); CREATE DATABASE mlflow OWNER mlflow",
        "postgres",
    )
    with stacks_server(sandbox, mlflow_image) as address, ThreadPoolExecutor(WAITING) as threads:
        client = MlflowClient(address)
        locked, free = (client.create_run("0").info.run_id for _ in range(2))
        client.log_metric(locked, "loss", 1.0)
        engine = create_engine(uri)
        began = threading.Barrier(WAITING + 1)

        def log(step: int) -> None:
            began.wait(60)
            client.log_metric(locked, "loss", float(step), step=step, synchronous=True)

        with engine.connect() as lost:
            lost.execute(
                text("SELECT * FROM latest_metrics WHERE run_uuid = :run FOR UPDATE"),
                {"run": locked},
            )
            logged = [threads.submit(log, step) for step in range(WAITING)]
            began.wait(60)
            time.sleep(1)  # they are on their way
            point = {"run_id": free, "key": "loss", "value": 1.0, "timestamp": 1}
            for path, content in (
                ("runs/log-metric", point),
                ("runs/search", {"experiment_ids": ["0"]}),
                ("runs/create", {"experiment_id": "0"}),
            ):
                # Far less than those wait who log to the other run.
                sent = requests.post(f"{address}/api/2.0/mlflow/{path}", json=content, timeout=30)
                assert sent.status_code == 200, path
            assert not any(one.done() for one in logged)
            lost.rollback()
        for one in logged:
            one.result(120)
        assert len(client.get_metric_history(locked, "loss")) == WAITING + 1
        engine.dispose()
