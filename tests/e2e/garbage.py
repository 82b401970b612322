"""`scripts/gc` on a deployed stack: the rows of all tables and all artifacts are as they were."""

import re
import secrets
from contextlib import closing

import psycopg2
from mlflow import MlflowClient
from mlflow.entities import LoggedModelOutput

from scripts.archive.artifacts import Artifacts
from tests.e2e.stack import Stack
from workloads.target.target import Subject

COUNTS = """
select string_agg(name || ' ' || (xpath('//n/text()', query_to_xml(
           format('select count(*) as n from %I', name), false, true, '')))[1]::text,
           ', ' order by name)
  from (select table_name as name from information_schema.tables
         where table_schema = 'public' and table_type = 'BASE TABLE') as each
"""


def collected(stack: Stack, *options: str) -> dict[str, str]:
    """Run `scripts/gc`; return its table."""
    done = stack.script("gc", *options)
    assert done.returncode == 0, done.stderr
    return dict(re.findall(r"(?m)^│ ([^│]*?) +│ +([\d.]+) │$", done.stdout))


def all_of(subject: Subject) -> tuple[str, list[str]]:
    """Count the rows of every table; list the artifacts."""
    assert subject.target
    assert subject.secrets
    store = subject.target.backend_store
    with (
        closing(
            psycopg2.connect(
                host=store.host,
                port=store.port,
                dbname=store.database,
                user=store.user,
                password=subject.secrets.database_password,
            )
        ) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(COUNTS)
        [rows] = cursor.fetchone() or [""]
    return str(rows), Artifacts(subject.tracking_uri).paths()


def log_run(client: MlflowClient, experiment: str) -> str:
    run = str(client.create_run(experiment).info.run_id)
    client.log_metric(run, "loss", 0.5)
    client.log_param(run, "depth", 6)
    client.log_text(run, "text", "notes/note.txt")
    return run


def leaves_nothing(stack: Stack) -> None:
    """Delete a run of a kept experiment, and an experiment; all of both is to be removed."""
    subject = stack.subject()
    client = MlflowClient(subject.tracking_uri)
    kept = client.create_experiment(secrets.token_hex(8))
    log_run(client, kept)
    before = all_of(subject)

    client.delete_run(log_run(client, kept))
    gone = client.create_experiment(secrets.token_hex(8))
    run = log_run(client, gone)
    model = client.create_logged_model(gone, "model", run).model_id
    client.log_outputs(run, [LoggedModelOutput(model, 0)])
    client.log_model_artifact(model, __file__)
    client.delete_experiment(gone)

    would = collected(stack, "--dry-run")
    assert all_of(subject) != before
    removed = collected(stack)
    assert all_of(subject) == before
    named = {"experiments": "1", "runs": "2", "artifacts": "3"}
    assert {name: removed[name] for name in named} == named
    assert {name: would[name] for name in named} == named
