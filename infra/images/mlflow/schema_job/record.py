"""The job's own table: which artifact destination belongs to this database."""

import re
from dataclasses import dataclass

from sqlalchemy import Connection, text

from .messages import RefusalError

SCHEMA = "mlflow_bench"
"""PostgreSQL schema of the record, apart from MLflow's tables."""

_CREATE = text(
    f"""
    CREATE SCHEMA IF NOT EXISTS {SCHEMA};
    CREATE TABLE {SCHEMA}.deployment (
        only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
        artifacts_destination text NOT NULL,
        mlflow_version text NOT NULL,
        trace_rollups boolean NOT NULL DEFAULT false,
        first_time timestamptz NOT NULL DEFAULT now(),
        last_time timestamptz NOT NULL DEFAULT now()
    )
    """
)
# A database of before has no such column.
_ADD = text(
    f"ALTER TABLE {SCHEMA}.deployment "
    "ADD COLUMN IF NOT EXISTS trace_rollups boolean NOT NULL DEFAULT false"
)
_WRITE = text(
    f"""
    INSERT INTO {SCHEMA}.deployment (artifacts_destination, mlflow_version, trace_rollups)
    VALUES (:destination, :version, :rollups)
    ON CONFLICT (only_row) DO UPDATE
       SET mlflow_version = excluded.mlflow_version, last_time = excluded.last_time,
           trace_rollups = excluded.trace_rollups
    """  # noqa: S608 (a constant)
)
_READ = text(
    # Of a row as JSON, as one of before has not all of the columns.
    f"""
    SELECT artifacts_destination, mlflow_version,
           coalesce((to_jsonb(deployment) ->> 'trace_rollups')::boolean, false)
      FROM {SCHEMA}.deployment
    """  # noqa: S608
)


@dataclass(frozen=True)
class Record:
    """What an earlier job wrote down."""

    artifacts_destination: str
    mlflow_version: str
    trace_rollups: bool
    """Whether the servers of then had rollups of traces."""


def normalise(destination: str, service: str = "") -> str:
    """Give one spelling to destinations that are the same place: `file:///a/` is `/a`.

    Buckets of one name in two services are two places; `service` tells them apart.
    """
    place = re.sub(r"^file://(?=/)", "", destination).rstrip("/") or "/"
    return f"{place} at {service}" if service else place


def read(connection: Connection) -> Record | None:
    """Return the record, or None for a database that no job has prepared."""
    if connection.scalar(text(f"SELECT to_regclass('{SCHEMA}.deployment')")) is None:
        return None
    row = connection.execute(_READ).one_or_none()
    return Record(*row) if row else None


def check(record: Record | None, destination: str) -> None:
    """Raise RefusalError when the database belongs to another (normalised) destination."""
    if record is not None and record.artifacts_destination != destination:
        raise RefusalError(
            f"the database was used with the artifact destination "
            f"{record.artifacts_destination!r}, not {destination!r}; its runs would lose their "
            f"artifacts: set the artifact store back, or give an empty database (if the store "
            f"moved as a whole, see docs/external-services.md)"
        )


def write(connection: Connection, destination: str, version: str, rollups: bool) -> None:
    """Record the (normalised) destination, mlflow's version, rollups or none, and the time."""
    if read(connection) is None:
        connection.execute(_CREATE)
    connection.execute(_ADD)
    connection.execute(_WRITE, {"destination": destination, "version": version, "rollups": rollups})
