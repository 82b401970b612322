"""PostgreSQL's sessions and size, from `pg_stat_activity`."""

from typing import Any

import psycopg2

from infra.outputs import BackendStore
from workloads.target.backend_store import connect

QUERY = """
select coalesce(state, ''), coalesce(wait_event_type, ''), count(*)
from pg_stat_activity
where backend_type = 'client backend' and pid <> pg_backend_pid()
group by 1, 2
"""
"""Sessions of clients, this one left out (PostgreSQL's manual, 27.2.3)."""


class DatabaseSessions:
    """Looks at a database's sessions; raises `psycopg2.Error` where it cannot be reached."""

    def __init__(self, store: BackendStore, password: str) -> None:
        self._connection = connect(store, password, "observer", timeout_s=5)
        self._connection.autocommit = True
        with self._connection.cursor() as cursor:
            cursor.execute("show max_connections")
            self._most = int(cursor.fetchone()[0])  # type: ignore[index]

    def look(self) -> dict[str, Any] | None:
        """Count sessions by what they do and wait for; None while the database is away."""
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(QUERY)
                rows = cursor.fetchall()
                cursor.execute("select pg_database_size(current_database())")
                size = cursor.fetchone()[0]  # type: ignore[index]
        except psycopg2.Error:
            return None
        waiting: dict[str, int] = {}
        for state, wait, count in rows:
            if state == "active" and wait:
                waiting[wait] = waiting.get(wait, 0) + count
        return {
            "connections": sum(count for _, _, count in rows),
            "max_connections": self._most,
            "active": sum(count for state, _, count in rows if state == "active"),
            "idle_in_transaction": sum(
                count for state, _, count in rows if state.startswith("idle in transaction")
            ),
            "waiting": waiting,
            "size_bytes": size,
        }
