"""The trace jobs in their image: one at a time on a database, and what the schema job says."""

import time
from collections.abc import Iterator

import psycopg2
import pytest

from infra.components.traces import Traces
from infra.images.mlflow.trace_jobs.lock import JOBS, ROLLUPS
from scripts.archive.database import FIT
from tests.images.sandbox import (
    PASSWORD,
    Postgres,
    Sandbox,
    ends,
    execute,
    logs,
    wait_until,
)

pytestmark = pytest.mark.plugins

URI = "postgresql+psycopg2://mlflow@jobs:5432/mlflow"
ARTIFACTS = "/var/lib/mlflow/artifacts"
DAY_MS = 24 * 60 * 60 * 1000
NOW_MS = int(time.time() * 1000)


@pytest.fixture(scope="module")
def backend(sandbox: Sandbox, postgres_image: str, mlflow_image: str) -> Postgres:
    """A database that the schema job prepared for rollups."""
    backend = Postgres(sandbox, postgres_image, hostname="jobs")
    wait_until(backend.is_ready, 120, "PostgreSQL is ready")
    status, output = schema_job(sandbox, mlflow_image, "--trace-rollups")
    assert status == 0, output
    return backend


@pytest.fixture(autouse=True)
def traces(backend: Postgres) -> None:
    """Traces of today, of three days ago and of eleven."""
    backend.sql(
        "DELETE FROM trace_info; "
        + "".join(
            "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms,"
            f" status) VALUES ('tr-{age}', 0, {NOW_MS - age * DAY_MS}, 5, 'OK');"
            for age in (0, 3, 11)
        )
    )


def schema_job(sandbox: Sandbox, image: str, *arguments: str) -> tuple[int, str]:
    job = ["schema-job", "--database-uri", URI, "--artifacts-destination", ARTIFACTS, *arguments]
    return ends(sandbox.run(image, job), 180)


def trace_jobs(sandbox: Sandbox, image: str, *arguments: str) -> tuple[int, str]:
    """Do one pass, with rollups switched on."""
    environment = {
        "MLFLOW_SQL_TRACE_ROLLUPS_ENABLED": "true",
        "MLFLOW_TRACE_ROLLUPS_SCHEDULE": Traces().rollup_schedule,
    }
    command = ["trace-jobs", f"--database-uri={URI}", "--once", *arguments]
    return ends(sandbox.run(image, command, environment=environment), 180)


def kept(backend: Postgres) -> list[str]:
    return backend.sql("SELECT request_id FROM trace_info ORDER BY 1").splitlines()


def rollups(backend: Postgres) -> int:
    return int(backend.sql("SELECT count(*) FROM sql_trace_metric_daily_rollups"))


@pytest.fixture
def session(backend: Postgres) -> Iterator["psycopg2.extensions.connection"]:
    """A session of other jobs, whose locks end with it."""
    connection = psycopg2.connect(
        host="127.0.0.1", port=backend.port, dbname="mlflow", user="mlflow", password=PASSWORD
    )
    connection.autocommit = True
    yield connection
    connection.close()


def take(session: "psycopg2.extensions.connection", lock: int) -> None:
    with session.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (lock,))


def test_traces_that_are_older_are_deleted_and_no_others(
    sandbox: Sandbox, backend: Postgres, mlflow_image: str
) -> None:
    status, output = trace_jobs(sandbox, mlflow_image, "--delete-after=10d")
    assert status == 0, output
    assert "deleted 1 traces older than 10d" in output
    assert kept(backend) == ["tr-0", "tr-3"]


def test_traces_are_deleted_in_all_workspaces(
    sandbox: Sandbox, backend: Postgres, mlflow_image: str
) -> None:
    old = "(9, 'theirs', 'mlflow-artifacts:/workspaces/team-a/9', 'active', 'team-a')"
    backend.sql(
        "INSERT INTO workspaces (name) VALUES ('team-a'); INSERT INTO experiments (experiment_id,"
        f" name, artifact_location, lifecycle_stage, workspace) VALUES {old};"
        "INSERT INTO trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms,"
        f" status) VALUES ('tr-theirs', 9, {NOW_MS - 11 * DAY_MS}, 5, 'OK');"
    )
    command = ["trace-jobs", f"--database-uri={URI}", "--once", "--delete-after=10d"]
    environment = {"MLFLOW_ENABLE_WORKSPACES": "true"}
    try:
        status, output = ends(sandbox.run(mlflow_image, command, environment=environment), 180)
        assert (status, kept(backend)) == (0, ["tr-0", "tr-3"]), output
        assert "deleted 2 traces older than 10d" in output
    finally:
        backend.sql(
            "DELETE FROM experiments WHERE experiment_id = 9; DELETE FROM workspaces"
            " WHERE name = 'team-a'"
        )


def test_while_others_work_nothing_is_done(
    sandbox: Sandbox,
    backend: Postgres,
    mlflow_image: str,
    session: "psycopg2.extensions.connection",
) -> None:
    take(session, JOBS)
    status, output = trace_jobs(sandbox, mlflow_image, "--delete-after=1d", "--rollups-now")
    assert (status, kept(backend), rollups(backend)) == (0, ["tr-0", "tr-11", "tr-3"], 0)
    assert "other trace jobs work on this database" in output


def test_rollups_end_with_the_schema_job_that_is_told_of_none(
    sandbox: Sandbox,
    backend: Postgres,
    mlflow_image: str,
    session: "psycopg2.extensions.connection",
) -> None:
    status, output = trace_jobs(sandbox, mlflow_image, "--rollups-now")
    assert status == 0, output
    assert rollups(backend) > 0
    # It waits for jobs that are just building some.
    take(session, ROLLUPS)
    command = ["schema-job", "--database-uri", URI, "--artifacts-destination", ARTIFACTS]
    waiting = sandbox.run(mlflow_image, command)
    query = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    wait_until(lambda: backend.sql(query) == "1", 120, "the schema job waits")
    assert rollups(backend) > 0
    session.close()
    status, output = ends(waiting, 120)
    assert status == 0, output
    assert "deleted the rollups of traces" in logs(waiting)
    assert rollups(backend) == 0
    # And none are built any more, by jobs of before.
    status, output = trace_jobs(sandbox, mlflow_image, "--rollups-now")
    assert (status, rollups(backend)) == (0, 0), output
    assert len(kept(backend)) == 3


def test_what_is_restored_fits_its_new_place(
    sandbox: Sandbox, backend: Postgres, mlflow_image: str
) -> None:
    """Archived spans are found there, and there are no rollups but of the place's own making."""
    assert schema_job(sandbox, mlflow_image, "--trace-rollups")[0] == 0
    assert trace_jobs(sandbox, mlflow_image, "--rollups-now")[0] == 0
    backend.sql(
        "INSERT INTO trace_tags (request_id, key, value) VALUES"
        f" ('tr-3', 'mlflow.trace.archiveLocation', 'file://{ARTIFACTS}/trace-archive/0'),"
        " ('tr-0', 'mlflow.trace.archiveLocation', 's3://elsewhere/0'),"
        f" ('tr-0', 'place', 'file://{ARTIFACTS}/0')"
    )
    assert rollups(backend) > 0
    fit = execute(
        backend.container,
        *("psql", "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1", "--host=/run/postgresql"),
        *("--dbname=mlflow", "--set=destination=s3://team at AWS S3", "--set=rollups=f"),
        "--file=-",
        stdin=f"begin; set search_path = public; {FIT} commit;",
    )
    assert fit.returncode == 0, fit.stderr
    assert rollups(backend) == 0
    tags = "SELECT value FROM trace_tags ORDER BY 1"
    assert backend.sql(tags).splitlines() == [
        f"file://{ARTIFACTS}/0",
        "s3://elsewhere/0",
        "s3://team/trace-archive/0",
    ]
    record = "SELECT artifacts_destination, trace_rollups FROM mlflow_bench.deployment"
    assert backend.sql(record) == "s3://team at AWS S3|f"
