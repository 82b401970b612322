"""Rows that name what is removed, in tables that MLflow's removal does not look at."""

# ruff: noqa: S608 (statements are put together from constants alone)

from sqlalchemy import Connection, Engine, text

EXPERIMENT = (
    # What names its traces, its logged models and itself, and what a gateway's endpoint is used by.
    """
    DELETE FROM entity_associations
     WHERE (source_type, source_id) IN (
               SELECT 'trace', request_id FROM trace_info WHERE experiment_id = :id
               UNION ALL VALUES ('experiment', CAST(:id AS varchar)))
        OR (destination_type, destination_id) IN (
               SELECT 'trace', request_id FROM trace_info WHERE experiment_id = :id
               UNION ALL VALUES ('experiment', CAST(:id AS varchar)))
    """,
    """
    DELETE FROM inputs
     WHERE destination_type IN ('MODEL_INPUT', 'MODEL_OUTPUT')
       AND destination_id IN (SELECT model_id FROM logged_models WHERE experiment_id = :id)
    """,
    """
    DELETE FROM endpoint_bindings
     WHERE resource_type = 'scorer'
       AND resource_id IN (SELECT scorer_id FROM scorers WHERE experiment_id = :id)
    """,
)
MODEL = (
    """
    DELETE FROM inputs
     WHERE destination_type IN ('MODEL_INPUT', 'MODEL_OUTPUT') AND destination_id = :id
    """,
    """
    DELETE FROM entity_associations
     WHERE (source_type, source_id) = ('model', :id)
        OR (destination_type, destination_id) = ('model', :id)
    """,
)

_RUN = "SELECT FROM runs WHERE run_uuid ="
_INPUTS_OF_NO_RUN = f"""
    (destination_type = 'RUN' AND NOT EXISTS ({_RUN} destination_id))
    OR (source_type IN ('RUN_INPUT', 'RUN_OUTPUT') AND NOT EXISTS ({_RUN} source_id))
"""
# By what is gone, not by what this process removed: another one may have been ended before this.
OF_NO_RUN = (
    "DELETE FROM input_tags WHERE input_uuid IN"
    f" (SELECT input_uuid FROM inputs WHERE {_INPUTS_OF_NO_RUN})",
    f"DELETE FROM inputs WHERE {_INPUTS_OF_NO_RUN}",
    f"""
    DELETE FROM entity_associations
     WHERE (source_type = 'run' AND NOT EXISTS ({_RUN} source_id))
        OR (destination_type = 'run' AND NOT EXISTS ({_RUN} destination_id))
    """,
)
_DATA_SETS_OF_NO_RUN = """
    NOT EXISTS (SELECT FROM inputs WHERE source_type = 'DATASET' AND source_id = dataset_uuid)
    AND NOT EXISTS (SELECT FROM logged_model_metrics AS m WHERE m.dataset_uuid = d.dataset_uuid)
"""

_DELETED = "SELECT 1 FROM experiments WHERE experiment_id = :id AND lifecycle_stage = 'deleted'"
_GUARDED = text(
    """
    SELECT name FROM guardrails JOIN scorers USING (scorer_id) WHERE experiment_id = :id LIMIT 1
    """
)

_REGISTERED = text(
    """
    SELECT v.name, v.version FROM model_versions AS v JOIN logged_models AS m
        ON v.source = 'models:/' || m.model_id
        OR starts_with(coalesce(v.storage_location, v.source) || '/', m.artifact_location || '/')
     WHERE m.experiment_id = :id AND v.current_stage IS DISTINCT FROM 'Deleted_Internal' LIMIT 1
    """
)


def delete(engine: Engine, statements: tuple[str, ...], **values: object) -> int:
    """Delete by these statements, in one transaction; return the number of rows."""
    with engine.begin() as connection:
        return sum(connection.execute(text(each), values).rowcount for each in statements)


def delete_unused_data_sets(engine: Engine) -> int:
    """Delete data sets that no run has; return how many.

    Raises `OperationalError` where others, as a backup, read data sets for longer than a few
    seconds: everybody who comes after this would wait for them, too.
    """
    with engine.begin() as connection:
        query = f"SELECT dataset_uuid FROM datasets AS d WHERE {_DATA_SETS_OF_NO_RUN}"
        unused = [row[0] for row in connection.execute(text(query))]
    if not unused:
        return 0
    with engine.begin() as connection:
        # Whoever has just seen one of them is waited for: it is about to write that a run has it.
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        connection.execute(text("LOCK TABLE datasets IN ACCESS EXCLUSIVE MODE"))
        query = (
            "DELETE FROM datasets AS d WHERE dataset_uuid = ANY(:unused) AND"
            f" {_DATA_SETS_OF_NO_RUN}"
        )
        return connection.execute(text(query), {"unused": unused}).rowcount


def of_no_run(engine: Engine) -> int:
    """Count what names runs that are gone, and data sets that no run has."""
    with engine.connect() as connection:
        transaction = connection.begin()
        rows = sum(connection.execute(text(each)).rowcount for each in OF_NO_RUN)
        query = f"SELECT count(*) FROM datasets AS d WHERE {_DATA_SETS_OF_NO_RUN}"
        rows += connection.scalar(text(query)) or 0
        transaction.rollback()
    return rows


def why_it_stays(connection: Connection, experiment_id: int, *, lock: bool) -> str | None:
    """Return why a deleted experiment is not to be removed, if so.

    With `lock`, nobody restores it until the transaction has ended.
    """
    of = {"id": experiment_id}
    # Not against what names it in other tables, as its traces, and is removed meanwhile.
    deleted = text(f"{_DELETED} FOR NO KEY UPDATE" if lock else _DELETED)
    if connection.scalar(deleted, of) is None:
        return "it was restored meanwhile"
    guardrail = connection.scalar(_GUARDED, of)
    if guardrail is not None:
        return f"guardrail {guardrail!r} uses one of its scorers"
    if version := connection.execute(_REGISTERED, of).first():
        return f"version {version[1]} of registered model {version[0]!r} has its files there"
    return None
