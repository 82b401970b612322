"""Everything that a run wrote, read from the backend store itself, past every tracking server.

Tables and columns are those of MLflow's own models (mlflow/store/tracking/dbmodels and
mlflow/store/model_registry/dbmodels, 3.17). All is read in one snapshot.
"""

from collections import defaultdict
from contextlib import closing
from itertools import groupby
from typing import Any

import psycopg2
from mlflow.entities import LoggedModelStatus
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from infra.outputs import BackendStore
from workloads.history import Kind
from workloads.readback.lines import MODEL_KINDS, REGISTERED_KINDS, RUN_KINDS, Lines
from workloads.readback.wanted import Wanted
from workloads.wire import REGISTRY, TOKEN_TAG, point, registered_prefix

HOLDS = frozenset(Kind) - {Kind.ARTIFACT}

ROWS_AT_ONCE = 5000

_SCOPE = sql.SQL("""
with our_runs as (
    select run_uuid, status from runs
    where (experiment_id = %(experiment)s and lifecycle_stage = 'active')
       or run_uuid = any(%(runs)s::text[])
), our_models as (
    select model_id, coalesce(source_run_id, '') || '/' || name as key, status from logged_models
    where experiment_id = %(experiment)s and lifecycle_stage = 'active'
), our_versions as (
    select workspace, name, version, name || '/' || version as id from model_versions
    where starts_with(name, %(prefix)s) and current_stage <> 'Deleted_Internal'
)
""")
"""Runs that are asked for are read even if they were deleted, as the servers give them too."""

_QUERIES: tuple[tuple[Kind, str], ...] = (
    (
        Kind.RUN,
        """
        select experiment_id::text, coalesce(value, ''), runs.run_uuid from runs
        left join tags on tags.run_uuid = runs.run_uuid and key = %(token)s
        where experiment_id = %(experiment)s and lifecycle_stage = 'active'
        """,
    ),
    (Kind.STATUS, "select run_uuid, 'status', status from our_runs order by 1"),
    (
        Kind.PARAM,
        "select run_uuid, key, value from params join our_runs using (run_uuid) order by 1",
    ),
    (Kind.TAG, "select run_uuid, key, value from tags join our_runs using (run_uuid) order by 1"),
    (
        Kind.METRIC,
        """
        select run_uuid, key, step, timestamp, case when is_nan then 'NaN' else value end
        from metrics join our_runs using (run_uuid) order by 1
        """,
    ),
    (
        Kind.DATASET,
        """
        select destination_id, name, digest
        from inputs join datasets on dataset_uuid = source_id
        join our_runs on run_uuid = destination_id
        where source_type = 'DATASET' and destination_type = 'RUN' order by 1
        """,
    ),
    (
        Kind.OUTPUT,
        """
        select source_id, destination_id, step::text
        from inputs join our_runs on run_uuid = source_id
        where source_type = 'RUN_OUTPUT' and destination_type = 'MODEL_OUTPUT' order by 1
        """,
    ),
    (Kind.MODEL, "select %(experiment)s::text, key, model_id from our_models"),
    (Kind.STATUS, "select model_id, 'status', status from our_models order by 1"),
    (
        Kind.PARAM,
        """
        select model_id, param_key, param_value
        from logged_model_params join our_models using (model_id) order by 1
        """,
    ),
    (
        Kind.TAG,
        """
        select model_id, tag_key, tag_value
        from logged_model_tags join our_models using (model_id) order by 1
        """,
    ),
    (
        Kind.REGISTERED,
        """
        select %(registry)s, name, name from registered_models where starts_with(name, %(prefix)s)
        """,
    ),
    (
        Kind.TAG,
        """
        select name, key, value from registered_model_tags where starts_with(name, %(prefix)s)
        order by 1
        """,
    ),
    (
        Kind.ALIAS,
        """
        select name, alias, version::text from registered_model_aliases
        where starts_with(name, %(prefix)s) order by 1
        """,
    ),
    (
        Kind.VERSION,
        """
        select name, coalesce(value, ''), id
        from our_versions left join (
            select workspace, name, version, value from model_version_tags where key = %(token)s
        ) tokens using (workspace, name, version) order by 1
        """,
    ),
    (
        Kind.TAG,
        """
        select id, key, value
        from model_version_tags join our_versions using (workspace, name, version) order by 1
        """,
    ),
)
"""Kind, and the query for owner, key and value (of a point: step, time in ms, value), by owner."""


def read(
    store: BackendStore, password: str, experiment_id: str, wanted: Wanted, lines: Lines
) -> None:
    """Read it; raises `psycopg2.Error` where the database cannot be reached or read."""
    with closing(
        psycopg2.connect(
            host=store.host,
            port=store.port,
            dbname=store.database,
            user=store.user,
            password=password,
            connect_timeout=10,
            application_name="mlflow-bench reading back",
        )
    ) as connection:
        connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        lines.begin(HOLDS)
        known = {
            "experiment": int(experiment_id),
            "registry": REGISTRY,
            "token": TOKEN_TAG,
            "prefix": registered_prefix(experiment_id),
            "runs": sorted(wanted.runs),
        }
        written: dict[Kind, set[str]] = defaultdict(set)
        found: dict[Kind, set[str]] = defaultdict(set)
        for number, (kind, query) in enumerate(_QUERIES):
            with connection.cursor(f"kind_{number}") as cursor:
                cursor.itersize = ROWS_AT_ONCE
                cursor.execute(sql.SQL("{} {}").format(_SCOPE, sql.SQL(query)), known)
                for owner, rows in groupby(cursor, key=lambda row: row[0]):
                    items: dict[str, list[str]] = defaultdict(list)
                    for row in rows:
                        items[row[1]].append(_value(kind, row[2:]))
                    lines.add(kind, owner, items)
                    written[kind].add(owner)
                    if kind in (Kind.RUN, Kind.MODEL, Kind.REGISTERED, Kind.VERSION):
                        found[kind].update(one for ids in items.values() for one in ids)
    _say_what_is_empty(experiment_id, wanted, lines, written, found)


def _value(kind: Kind, columns: tuple[Any, ...]) -> str:
    if kind is Kind.METRIC:
        step, timestamp_ms, value = columns
        return point(step, timestamp_ms, value)
    [value] = columns
    return str(LoggedModelStatus.from_int(value)) if isinstance(value, int) else value or ""


def _say_what_is_empty(
    experiment_id: str,
    wanted: Wanted,
    lines: Lines,
    written: dict[Kind, set[str]],
    found: dict[Kind, set[str]],
) -> None:
    """Write a line for each place that was read and holds nothing."""
    versions = set().union(*wanted.versions.values())
    places = (
        ((Kind.RUN, Kind.MODEL), {experiment_id}),
        ((Kind.REGISTERED,), {REGISTRY}),
        (RUN_KINDS, wanted.runs | found[Kind.RUN]),
        (MODEL_KINDS, wanted.models | found[Kind.MODEL]),
        (REGISTERED_KINDS, wanted.registered | found[Kind.REGISTERED]),
        ((Kind.TAG,), versions | found[Kind.VERSION]),
    )
    for kinds, owners in places:
        for kind in kinds:
            for owner in sorted(owners - written[kind]):
                lines.add(kind, owner)
