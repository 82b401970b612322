"""The server's command and environment say where data goes, and hold no secret."""

import json
from dataclasses import replace
from pathlib import PurePosixPath

import pytest

from infra.components.capacity import (
    CONNECTIONS_PER_REQUEST,
    MOST_WORKERS,
    REQUESTS_AT_ONCE,
    RESERVED_CONNECTIONS,
    THREADS_PER_WORKER,
    capacity,
)
from infra.components.server import ArtifactFolder, Database, S3Bucket, TrackingServer
from infra.components.traces import CONNECTIONS, Traces

POOL = ("POOL_SIZE", "MAX_OVERFLOW")

SERVER = TrackingServer(
    database=Database(host="postgres", port=5432, name="mlflow", user="mlflow"),
    artifacts=ArtifactFolder(PurePosixPath("/var/lib/mlflow/artifacts")),
    capacity=capacity(replicas=1, workers=1, jobs=False),
    port=5000,
    workers=1,
    allowed_hosts=("localhost", "mlflow.example.com"),
    jobs=False,
)


def options(server: TrackingServer) -> dict[str, str]:
    return dict(
        argument.removeprefix("--").split("=", 1)
        for argument in server.command()
        if "=" in argument
    )


def test_artifacts_always_go_through_the_server() -> None:
    assert "--serve-artifacts" in SERVER.command()
    assert options(SERVER)["default-artifact-root"] == "mlflow-artifacts:/"
    assert options(SERVER)["artifacts-destination"] == "file:///var/lib/mlflow/artifacts"


def test_the_schema_job_is_asked_about_the_server_s_own_stores() -> None:
    job = dict(a.removeprefix("--").split("=", 1) for a in SERVER.schema_job_command()[1:])
    assert job == {
        "database-uri": options(SERVER)["backend-store-uri"],
        "artifacts-destination": options(SERVER)["artifacts-destination"],
    }


def test_the_driver_is_named_and_no_password_is_in_the_uri() -> None:
    start, _, _ = SERVER.database.uri.partition("?")
    assert start == "postgresql+psycopg2://mlflow@postgres:5432/mlflow"


def test_hosts_are_allowed_with_and_without_a_port() -> None:
    assert options(SERVER)["allowed-hosts"].split(",") == [
        "localhost",
        "localhost:*",
        "127.0.0.1",
        "127.0.0.1:*",
        "[::1]",
        "[[]::1]:*",
        "mlflow.example.com",
        "mlflow.example.com:*",
    ]
    assert "https://mlflow.example.com" in options(SERVER)["cors-allowed-origins"].split(",")


def test_the_application_is_the_image_s_own_whatever_the_store() -> None:
    bucket = S3Bucket(bucket="mlflow", region="us-east-1")
    for server in (SERVER, replace(SERVER, artifacts=bucket)):
        assert options(server)["app-name"] == "mlflow-bench"
        assert 1 <= int(server.environment()["MLFLOW_BENCH_REQUESTS_AT_ONCE"]) < THREADS_PER_WORKER


@pytest.mark.parametrize(("jobs", "said"), [(False, "false"), (True, "true")])
def test_jobs_run_only_when_asked_for(jobs: bool, said: str) -> None:
    environment = replace(SERVER, jobs=jobs).environment()
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == said
    assert environment["MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS"] == said


def test_telemetry_is_off() -> None:
    assert SERVER.environment()["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("workers", [1, 2, 4, 9, MOST_WORKERS])
@pytest.mark.parametrize("jobs", [False, True])
def test_no_worker_can_wait_for_its_own_pool(workers: int, jobs: bool) -> None:
    sizes = capacity(replicas=1, workers=workers, jobs=jobs)
    users = REQUESTS_AT_ONCE + 1
    assert sizes.pool_size + sizes.max_overflow >= users * CONNECTIONS_PER_REQUEST
    assert sizes.max_overflow > 0, "0 is falsy, so MLflow would ignore it"
    # All of them at one store, while the pools of the others keep theirs open.
    most_open = workers * (users * CONNECTIONS_PER_REQUEST + (1 + jobs) * sizes.pool_size)
    assert sizes.max_connections >= most_open + RESERVED_CONNECTIONS


def test_the_arithmetic_adds_up() -> None:
    assert capacity(replicas=2, workers=3, jobs=True).arithmetic == (
        "2 replica(s) x 3 worker(s) x (36 in use + 16 kept open) + 3 x 16 + 60 for jobs "
        "+ 20 reserved = 440 connections"
    )


OLD = Traces(archive_after="30d", delete_after="365d", rollups=True, rollup_schedule="5 4 * * *")


def test_without_keys_of_traces_nothing_of_the_server_changes() -> None:
    assert not any("archival" in argument for argument in SERVER.command())
    assert not any("ROLLUPS" in name for name in SERVER.environment())
    assert SERVER.files() == {}


def test_servers_know_the_archive_in_the_store_of_artifacts() -> None:
    server = replace(SERVER, traces=OLD)
    assert options(server)["trace-archival-config"] in server.files()
    [content] = server.files().values()
    assert json.loads(content)["trace_archival"] == {
        "enabled": True,
        "location": "file:///var/lib/mlflow/artifacts/trace-archive",
        "retention": "30d",
        "interval_seconds": 1,
    }


def test_servers_read_rollups_and_only_the_jobs_build_them() -> None:
    server = replace(SERVER, traces=OLD)
    assert server.environment()["MLFLOW_SQL_TRACE_ROLLUPS_ENABLED"] == "true"
    never = server.environment()["MLFLOW_TRACE_ROLLUPS_SCHEDULE"].split()
    assert never[2:4] == ["31", "2"]
    assert server.trace_jobs_environment()["MLFLOW_TRACE_ROLLUPS_SCHEDULE"] == "5 4 * * *"
    assert "--trace-rollups" in server.schema_job_command()
    assert "--trace-rollups" not in SERVER.schema_job_command()


def test_a_replica_with_mlflow_s_own_jobs_does_not_archive() -> None:
    server = replace(SERVER, traces=OLD, jobs=True)
    assert server.files() == {}
    assert "trace-archival-config" not in options(server)
    assert server.trace_jobs_files()


def test_the_trace_jobs_fit_into_the_connections_that_are_kept() -> None:
    environment = replace(SERVER, traces=OLD).trace_jobs_environment()
    sizes = [int(environment[f"MLFLOW_SQLALCHEMYSTORE_{name}"]) for name in POOL]
    assert sum(sizes) == CONNECTIONS < RESERVED_CONNECTIONS
    assert "--delete-after=365d" in replace(SERVER, traces=OLD).trace_jobs_command()
