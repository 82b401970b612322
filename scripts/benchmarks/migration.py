"""How long MLflow's migration of a database takes, by what is in it: the table of docs/upgrade.md.

    python -m scripts.benchmarks.migration [--sizes small,medium] [--from-revision b7e2c1a4d9f3]

Starts a PostgreSQL of the project's image in a container, and for each size makes the schema of the
older release, fills it by SQL, and lets the schema job's own migration bring it to the head of the
MLflow that is installed here, in one transaction as in a stack. Prints a row of Markdown after each
size, and removes the container. What is upgraded keeps its rows: they are counted before and after.

Rows are put in by `generate_series`, ten spans a trace and 1 KiB of content each; every third span
is of a model, with cost, and so one whose figures the migration to 3.17 moves into columns.
"""

import argparse
import time
from dataclasses import dataclass

from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.version import VERSION
from sqlalchemy import URL, Engine, create_engine, text
from sqlalchemy.pool import NullPool

from infra.images.mlflow.schema_job.migrations import Migrations
from tests.images.sandbox import PASSWORD, Postgres, build, opened, wait_until

FROM_3_16 = "b7e2c1a4d9f3"
"""Head of MLflow 3.16.1."""

TABLES = ("runs", "metrics", "trace_info", "spans")


@dataclass(frozen=True)
class Size:
    """What a database holds; spans are ten times the traces."""

    runs: int
    points: int
    traces: int


SIZES = {
    "empty": Size(0, 0, 0),
    "small": Size(1_000, 100_000, 1_000),
    "runs": Size(10_000, 1_000_000, 0),
    "points": Size(10_000, 10_000_000, 0),
    "traces": Size(0, 0, 10_000),
    "spans": Size(0, 0, 100_000),
}

FILL = (
    """insert into experiments (experiment_id, name, artifact_location, lifecycle_stage)
       values (7, 'filled', 'mlflow-artifacts:/7', 'active')""",
    """insert into runs (run_uuid, name, experiment_id, user_id, status, lifecycle_stage,
                         source_type, start_time)
       select md5(n::text), 'run ' || n, 7, 'ann', 'FINISHED', 'active', 'LOCAL', n
         from generate_series(1, :runs) n""",
    """insert into metrics (key, value, timestamp, run_uuid, step, is_nan)
       select 'loss', n * 0.5, n, md5((n % greatest(:runs, 1) + 1)::text), n, false
         from generate_series(1, :points) n""",
    """insert into trace_info (request_id, experiment_id, timestamp_ms, execution_time_ms, status)
       select 'tr-' || md5(n::text), 7, 1780000000000 + n, 100, 'OK'
         from generate_series(1, :traces) n""",
    """insert into trace_tags (request_id, key, value)
       select request_id, 'mlflow.traceName', 'answer' from trace_info""",
    """insert into trace_request_metadata (request_id, key, value)
       select request_id, key, value from trace_info, (values
           ('mlflow.trace.session', 'a session'),
           ('mlflow.trace.tokenUsage',
            '{"input_tokens": 10, "output_tokens": 20, "total_tokens": 30}')) as of(key, value)""",
    """insert into trace_metrics (request_id, key, value)
       select request_id, key, value from trace_info, (values
           ('input_tokens', 10), ('output_tokens', 20), ('total_tokens', 30)) as of(key, value)""",
    """insert into spans (trace_id, experiment_id, span_id, name, type, status,
                          start_time_unix_nano, end_time_unix_nano, content, dimension_attributes)
       select request_id, 7, lpad(to_hex(k), 16, '0'), 'step', 'CHAIN', 'OK',
              timestamp_ms * 1000000, timestamp_ms * 1000000 + k, repeat('x', 1024),
              case when k % 3 = 0
                   then '{"mlflow.llm.model"\\: "m", "mlflow.llm.provider"\\: "p"}'::json end
         from trace_info, generate_series(1, 10) k""",
    """insert into span_metrics (trace_id, span_id, key, value)
       select trace_id, span_id, key, 0.5
         from spans, (values ('input_cost'), ('output_cost'), ('total_cost')) as of(key)
        where dimension_attributes is not null""",
    "analyze",
)


def measure(engine: Engine, server: Postgres, size: Size, revision: str) -> str:
    """Fill a new database, upgrade it, and return a row of Markdown."""
    server.sql(
        "DROP DATABASE IF EXISTS mlflow WITH (FORCE);CREATE DATABASE mlflow OWNER mlflow",
        "postgres",
    )
    migrations = Migrations()
    with engine.begin() as connection:
        InitialBase.metadata.create_all(connection)
        migrations.upgrade(connection, revision)
    with engine.begin() as connection:
        for statement in FILL:
            connection.execute(text(statement), asked(statement, size))
    before = counted(server)
    filled = int(server.sql("SELECT pg_database_size('mlflow')"))
    began = time.monotonic()
    with engine.begin() as connection:
        migrations.upgrade(connection)
    took = time.monotonic() - began
    after = counted(server)
    if after != before:
        raise SystemExit(f"rows before: {before}, after: {after}")
    upgraded = int(server.sql("SELECT pg_database_size('mlflow')"))
    figures = [f"{number:,}" for number in before]
    megabytes = f"{filled / 2**20:,.0f} MiB | {upgraded / 2**20:,.0f} MiB"
    return f"| {' | '.join(figures)} | {megabytes} | {took:.1f} s |"


def asked(statement: str, size: Size) -> dict[str, int]:
    """The figures that a statement of `FILL` names."""
    return {name: number for name, number in vars(size).items() if f":{name}" in statement}


def counted(server: Postgres) -> list[int]:
    """Rows of each of `TABLES`."""
    return [int(server.sql(f"SELECT count(*) FROM {table}")) for table in TABLES]


def main() -> None:
    """Measure each size that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--sizes", default=",".join(SIZES), help=f"of {', '.join(SIZES)}")
    parser.add_argument("--from-revision", default=FROM_3_16, help="head of the older release")
    options = parser.parse_args()
    names = options.sizes.split(",")
    if unknown := [name for name in names if name not in SIZES]:
        parser.error(f"--sizes: no {', '.join(unknown)}; there is {', '.join(SIZES)}")
    known = Migrations().image().revisions
    if options.from_revision not in known:
        parser.error(f"--from-revision: mlflow {VERSION} does not know {options.from_revision}")
    with opened() as sandbox:
        server = Postgres(sandbox, build(sandbox.client, "postgres"), hostname="postgres")
        wait_until(server.is_ready, 60, "PostgreSQL is ready")
        url = URL.create(
            "postgresql+psycopg2", "mlflow", PASSWORD, "127.0.0.1", server.port, "mlflow"
        )
        engine = create_engine(url, poolclass=NullPool)
        print(f"| {' | '.join(TABLES)} | before | after | migration to {VERSION} |", flush=True)
        print("|---:|---:|---:|---:|---:|---:|---:|", flush=True)
        for name in names:
            row = measure(engine, server, SIZES[name], options.from_revision)
            print(row, flush=True)


if __name__ == "__main__":
    main()
