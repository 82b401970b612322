"""Rows that are copied into the database: the server cannot tell them from its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from mlflow import MlflowClient

from infra.images.mlflow.schema_job.migrations import Migrations
from infra.outputs import BackendStore
from tests.images.sandbox import PASSWORD, Postgres, Sandbox, wait_until
from tests.images.servers import ENVIRONMENT, stacks_server
from tests.integration.workloads.conftest import answers
from tests.ports import free_port
from workloads import CannotRunError
from workloads.filling import api, database, experiment, filling, rows, traces
from workloads.filling.database import Place
from workloads.filling.facts import FAILS_EVERY, MS_PER_DAY, Shape
from workloads.filling.filling import Wanted

pytestmark = pytest.mark.plugins

# Of some years ago, so that its days are in the rollups' queue of every server.
BEGIN_MS = 1_700_000_000_000
SHAPE = Shape(FAILS_EVERY + 4, BEGIN_MS, step_ms=MS_PER_DAY // 8, spans=7, text=60)


class Filled:
    """A server with rollups enabled, on the shared PostgreSQL, and an experiment on it."""

    def __init__(self, postgres: Postgres, uri: str) -> None:
        self.uri = uri
        self.client = MlflowClient(uri)
        self.store = api.store(uri)
        self.postgres = postgres
        self.experiment = self.client.create_experiment("filled")
        backend = BackendStore(
            host="127.0.0.1", port=postgres.port, database="mlflow", user="mlflow"
        )
        self.place = Place(backend, PASSWORD, self.experiment, rollups=True)

    def dump(self) -> list[str]:
        """Every row of the whole database as SQL, in one order."""
        text = self.postgres.dump("--data-only", "--column-inserts", "--rows-per-insert=1")
        return sorted(line for line in text.splitlines() if line.startswith("INSERT"))

    def empty(self) -> None:
        self.postgres.sql("delete from trace_info; delete from sql_trace_rollup_rebuild_queue")


@contextmanager
def plain_server(postgres: Postgres, folder: Path) -> Iterator[str]:
    """`mlflow server` as it is installed; gives its address."""
    port, log = free_port(), folder / "log"
    uri = f"postgresql+psycopg2://mlflow@127.0.0.1:{postgres.port}/mlflow"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", uri, "--artifacts-destination", str(folder / "artifacts")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=os.environ | ENVIRONMENT | {"PGPASSWORD": PASSWORD},
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(
            lambda: process.poll() is not None or answers(address), 120, "the server answers"
        )
        assert process.poll() is None, log.read_text()[-3000:]
        yield address
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # uvicorn's worker is a child of its own
        process.wait()


@pytest.fixture(scope="module", params=["stack", "mlflow"])
def filled(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    mlflow_image: str,
    server: Postgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Filled]:
    server.sql(
        "DROP DATABASE IF EXISTS mlflow WITH (FORCE); CREATE DATABASE mlflow OWNER mlflow",
        "postgres",
    )
    with (
        stacks_server(sandbox, mlflow_image)
        if request.param == "stack"
        else plain_server(server, tmp_path_factory.mktemp("filled")) as uri
    ):
        yield Filled(server, uri)


on_a_stack = pytest.mark.parametrize("filled", ["stack"], indirect=True)


def test_every_row_is_as_the_server_writes_it(filled: Filled) -> None:
    """The whole database is the same, written by the server and copied into it."""
    filled.empty()
    for number in range(SHAPE.traces):
        api.send(filled.store, traces.trace(number, SHAPE, filled.experiment), filled.experiment)
    written = filled.dump()
    assert sum("INSERT INTO public.spans" in line for line in written) == 7 * SHAPE.traces

    filled.empty()
    assert database.fill(filled.place, SHAPE, processes=1) == SHAPE.traces
    copied = filled.dump()
    assert [line for line in copied if line not in written] == []
    assert [line for line in written if line not in copied] == []
    assert copied == written


@on_a_stack
def test_a_server_goes_on_with_what_was_copied(filled: Filled) -> None:
    """Reading, tagging, further spans and deletion work on it as on its own."""
    filled.empty()
    database.fill(filled.place, SHAPE, processes=1)
    trace = traces.trace(3, SHAPE, filled.experiment)
    found = filled.client.get_trace(trace.id)
    assert {span.span_id for span in found.data.spans} == {span.id for span in trace.spans}
    assert found.info.trace_metadata["mlflow.trace.session"] == trace.session
    assert found.info.token_usage == trace.tokens
    filled.client.set_trace_tag(trace.id, "team", "another")
    api.send(filled.store, trace, filled.experiment)  # again, as a client whose answer was lost
    assert filled.client.get_trace(trace.id).info.tags["team"] == trace.tags["team"]
    ids = [traces.trace_id(n, SHAPE, filled.experiment) for n in range(SHAPE.traces)]
    assert filled.client.delete_traces(filled.experiment, trace_ids=ids) == SHAPE.traces
    assert filled.postgres.sql("select count(*) from spans") == "0"


@on_a_stack
def test_what_was_interrupted_goes_on(filled: Filled) -> None:
    """Whole transactions are there or not; those that are there are not copied again."""
    filled.empty()
    shape = Shape(database.AT_ONCE * 2 + 10, BEGIN_MS, 1000, spans=4, text=10)

    def interrupt(made: int, _: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        database.fill(filled.place, shape, interrupt, processes=1)
    there = int(filled.postgres.sql("select count(*) from trace_info"))
    assert there > 0
    assert database.fill(filled.place, shape, processes=2) == shape.traces - there
    assert filled.postgres.sql("select count(*) from trace_info") == str(shape.traces)
    assert filled.postgres.sql("select count(*) from spans") == str(shape.traces * 4)
    assert database.fill(filled.place, shape, processes=1) == 0
    assert database.size(filled.place) > 0


@on_a_stack
def test_without_rollups_no_day_is_queued(filled: Filled) -> None:
    filled.empty()
    database.fill(replace(filled.place, rollups=False), SHAPE, processes=1)
    assert filled.postgres.sql("select count(*) from sql_trace_rollup_rebuild_queue") == "0"


@on_a_stack
def test_the_experiment_says_that_it_is_complete(filled: Filled) -> None:
    wanted = Wanted(30, spans=4, text=10, days=2, seed="7")
    made: list[int] = []

    def fill(wanted: Wanted = wanted) -> filling.Done:
        return filling.fill(
            filled.uri,
            filled.place.store,
            filled.place.password,
            wanted,
            lambda done, _: made.append(done),
        )

    done = fill()
    assert (done.copied, made) == (30, [30])
    found = experiment.find(filled.client, 30, 4)
    assert found
    assert found.experiment_id == done.experiment_id
    assert experiment.is_complete(found)
    assert fill().copied == 0
    with pytest.raises(CannotRunError, match="is there with --text 10 --seed 7"):
        fill(replace(wanted, seed="8"))
    filled.client.delete_experiment(found.experiment_id)
    with pytest.raises(CannotRunError, match="is deleted: restore it"):
        fill()


@on_a_stack
def test_another_schema_is_refused_in_a_line(filled: Filled) -> None:
    [head] = rows.REVISIONS
    filled.postgres.sql("update alembic_version set version_num = 'fedcba987654'")
    try:
        with pytest.raises(CannotRunError, match="at revision fedcba987654, and rows are known"):
            database.check(filled.place)
    finally:
        filled.postgres.sql(f"update alembic_version set version_num = '{head}'")
    database.check(filled.place)


def test_the_pinned_release_is_known() -> None:
    assert Migrations().image().head in rows.REVISIONS


@on_a_stack
def test_a_database_that_is_not_there_is_a_line(filled: Filled) -> None:
    gone = filled.place.store.model_copy(update={"port": free_port()})
    with pytest.raises(CannotRunError, match=r"^database at 127.0.0.1:\d+: "):
        database.check(replace(filled.place, store=gone))
    nowhere = replace(filled.place, experiment_id="987654")
    with pytest.raises(CannotRunError, match="has no experiment 987654"):
        database.fill(nowhere, SHAPE, processes=1)
