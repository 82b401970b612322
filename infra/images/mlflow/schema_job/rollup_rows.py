"""Rollups of traces, which are derived from them: servers without them refuse to start on any."""

from sqlalchemy import Connection, inspect, text

from .messages import say

LOCK = int.from_bytes(b"mlfrolls")
"""What trace jobs hold while they build rollups; those of before may still be there."""

TABLES = (
    "sql_trace_metric_daily_rollups",
    "sql_span_cost_daily_rollups",
    "sql_assessment_daily_rollups",
    "sql_trace_rollup_rebuild_queue",
)


def delete(connection: Connection) -> None:
    """Delete all rollups, and what is queued for them, in the connection's transaction.

    No trace jobs build others: they ask the record, within the lock, whether they are wanted.
    """
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    names = set(inspect(connection).get_table_names())
    rows = [
        connection.execute(text(f"DELETE FROM {name}")).rowcount  # noqa: S608 (a constant)
        for name in TABLES
        if name in names
    ]
    if any(rows):
        say("deleted the rollups of traces, which are switched off; the traces are as they were")
