"""Everything that a run wrote, read from the backend store itself, past every tracking server.

Tables and columns are those of MLflow's own models (mlflow/store/tracking/dbmodels and
mlflow/store/model_registry/dbmodels, 3.17). All is read in one snapshot.
"""

from collections import defaultdict
from contextlib import closing
from itertools import groupby
from typing import Any

from mlflow.entities import LoggedModelStatus
from psycopg2 import sql
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ

from infra.outputs import BackendStore
from workloads.history.history import Kind
from workloads.history.wire import REGISTRY, TOKEN_TAG, model_point, point, registered_prefix
from workloads.readback import evaluation, trace_rows
from workloads.readback.attempted import Attempted
from workloads.readback.lines import (
    MODEL_KINDS,
    NAMED_KINDS,
    READ,
    REGISTERED_KINDS,
    RUN_KINDS,
    Lines,
)
from workloads.target.backend_store import connect

HOLDS = READ - {Kind.ARTIFACT}

CREATED = (
    Kind.RUN,
    Kind.MODEL,
    Kind.REGISTERED,
    Kind.VERSION,
    Kind.ASSESSMENT,
    Kind.EVALUATION_DATASET,
    Kind.TRACE,
)

ROWS_AT_ONCE = 5000

_SCOPE = sql.SQL(
    """
with our_runs as (
    select run_uuid, status from runs
    where (experiment_id = %(experiment)s and lifecycle_stage = 'active')
       or run_uuid = any(%(runs)s::text[])
), our_models as (
    select model_id, coalesce(source_run_id, '') || '/' || name as key, status, model_type
    from logged_models
    where experiment_id = %(experiment)s and lifecycle_stage = 'active'
), our_versions as (
    select workspace, name, version, name || '/' || version as id,
        description, source, run_id, run_link
    from model_versions
    where starts_with(name, %(prefix)s) and current_stage <> 'Deleted_Internal'
), {evaluation}, {traces}
"""
).format(evaluation=sql.SQL(evaluation.SCOPE), traces=sql.SQL(trace_rows.SCOPE))
"""Runs that are asked for are read even if they were deleted, as the servers give them too."""

_QUERIES: tuple[tuple[Kind, str], ...] = (
    (
        Kind.RUN,
        """
        select experiment_id::text, coalesce(value, ''), runs.run_uuid
        from runs join our_runs using (run_uuid)
        left join tags on tags.run_uuid = runs.run_uuid and key = %(token)s
        where experiment_id = %(experiment)s
        """,
    ),
    (Kind.STATUS, "select run_uuid, 'status', status from our_runs order by 1"),
    (
        Kind.FIELD,
        """
        select run_uuid, key, field from runs join our_runs using (run_uuid), lateral (values
            ('name', name), ('start_time', start_time::text), ('end_time', end_time::text),
            ('lifecycle_stage', lifecycle_stage), ('user_id', user_id)
        ) fields (key, field) where field <> '' order by 1
        """,
    ),
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
        Kind.LATEST,
        """
        select run_uuid, key, step, timestamp, case when is_nan then 'NaN' else value end
        from latest_metrics join our_runs using (run_uuid) order by 1
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
        Kind.FIELD,
        "select model_id, 'model_type', model_type from our_models where model_type <> '' "
        "order by 1",
    ),
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
        Kind.MODEL_METRIC,
        """
        select model_id, metric_name, metric_step, metric_timestamp_ms, metric_value, run_id,
            dataset_name, dataset_digest
        from logged_model_metrics join our_models using (model_id) order by 1
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
        Kind.FIELD,
        """
        select name, 'description', description from registered_models
        where starts_with(name, %(prefix)s) and description <> '' order by 1
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
    (
        Kind.FIELD,
        """
        select id, key, field from our_versions, lateral (values
            ('description', description), ('source', source), ('run_id', run_id),
            ('run_link', run_link)
        ) fields (key, field) where field <> '' order by 1
        """,
    ),
    (
        Kind.FIELD,
        """
        select experiment_id::text, 'name', name from experiments
        where experiment_id = any(%(experiments)s::int[]) order by 1
        """,
    ),
    (
        Kind.TAG,
        """
        select experiment_id::text, key, value from experiment_tags
        where experiment_id = any(%(experiments)s::int[]) and key = any(%(keys)s::text[])
        order by 1
        """,
    ),
)
"""Kind, and the query for owner, key and value (of points more than one column), by owner."""


def read(
    store: BackendStore, password: str, experiment_id: str, attempted: Attempted, lines: Lines
) -> None:
    """Read it; raises `psycopg2.Error` where the database cannot be reached or read."""
    with closing(connect(store, password, "reading back")) as connection:
        connection.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
        lines.begin(HOLDS)
        known = {
            "experiment": int(experiment_id),
            "registry": REGISTRY,
            "token": TOKEN_TAG,
            "prefix": registered_prefix(experiment_id),
            "runs": sorted(attempted.runs),
            "experiments": sorted(map(int, attempted.experiments)),
            "keys": sorted(set().union(*attempted.experiments.values())),
            **trace_rows.parameters(attempted),
        }
        written: dict[Kind, set[str]] = defaultdict(set)
        ids: dict[Kind, set[str]] = defaultdict(set)
        queries = [(kind, query, _rows_of(kind)) for kind, query in _QUERIES]
        queries += [*evaluation.QUERIES, *trace_rows.queries(attempted)]
        for number, (kind, query, pairs) in enumerate(queries):
            with connection.cursor(f"kind_{number}") as cursor:
                cursor.itersize = ROWS_AT_ONCE
                cursor.execute(sql.SQL("{} {}").format(_SCOPE, sql.SQL(query)), known)
                for owner, rows in groupby(cursor, key=lambda row: row[0]):
                    items: dict[str, list[str]] = defaultdict(list)
                    for row in rows:
                        for key, value in pairs(row[1:]):
                            items[key].append(value)
                    lines.add(kind, owner, items)
                    written[kind].add(owner)
                    if kind in CREATED:
                        ids[kind].update(value for values in items.values() for value in values)
    _write_empty_owners(experiment_id, attempted, lines, written, ids)


def _rows_of(kind: Kind) -> evaluation.Pairs:
    return lambda row: iter([_item(kind, row)])


def _item(kind: Kind, columns: tuple[Any, ...]) -> tuple[str, str]:
    """Return key and value of a row."""
    if kind in (Kind.METRIC, Kind.LATEST):
        key, step, timestamp_ms, value = columns
        return key, point(step, timestamp_ms, value)
    if kind is Kind.MODEL_METRIC:
        key, step, timestamp_ms, value, run_id, name, digest = columns
        metric = {"key": key, "step": step, "timestamp": timestamp_ms, "value": value}
        return model_point(metric | {"dataset_name": name, "dataset_digest": digest}, run_id)
    key, value = columns
    text = str(LoggedModelStatus.from_int(value)) if isinstance(value, int) else value or ""
    return key, text


def _write_empty_owners(
    experiment_id: str,
    attempted: Attempted,
    lines: Lines,
    written: dict[Kind, set[str]],
    ids: dict[Kind, set[str]],
) -> None:
    """Write a line for each owner that was read and has nothing of a kind; `ids`: created ones."""
    versions = set().union(*attempted.versions.values())
    read_of = (
        ((Kind.RUN, Kind.MODEL), {experiment_id}),
        ((Kind.REGISTERED,), {REGISTRY}),
        (RUN_KINDS, attempted.runs | ids[Kind.RUN]),
        (MODEL_KINDS, attempted.models | ids[Kind.MODEL]),
        (REGISTERED_KINDS, attempted.registered | ids[Kind.REGISTERED]),
        (NAMED_KINDS, versions | ids[Kind.VERSION] | set(attempted.experiments)),
        *evaluation.places(experiment_id, attempted, ids),
        *trace_rows.places(experiment_id, attempted, ids),
    )
    for kinds, owners in read_of:
        for kind in kinds:
            for owner in sorted(owners - written[kind]):
                lines.add(kind, owner)
