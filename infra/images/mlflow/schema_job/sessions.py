"""Whether servers use the database: none may write while its schema changes.

A deployment stops its servers before the job where it knows that the schema changes. It does not
know so of an image that it was given, nor of servers that are somebody else's.
"""

import time

from sqlalchemy import Connection, text

from .messages import RefusalError, say

# A server gives its sessions no name; whoever only looks does, and so do the job and `psql`. Whence
# they come is no matter: behind one address (a pool, a translation) servers are beside the job.
_SERVERS = text(
    """
    SELECT host(client_addr), count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND backend_type = 'client backend'
       AND usename = current_user AND application_name = '' AND pid <> pg_backend_pid()
     GROUP BY client_addr ORDER BY client_addr
    """
)


def wait_until_none(connection: Connection, seconds: float, version: str) -> None:
    """Wait for the end of the servers' sessions; one line says whose there are.

    Raises RefusalError when there are some after so many seconds.
    """
    deadline = time.monotonic() + seconds
    announced = ""
    while True:
        # Else a transaction sees the same ones again and again.
        connection.execute(text("SELECT pg_stat_clear_snapshot()"))
        found = connection.execute(_SERVERS).all()
        if not found:
            return
        whose = ", ".join(f"{count} of {address or 'this machine'}" for address, count in found)
        if time.monotonic() >= deadline:
            raise RefusalError(
                f"the database is in use by servers ({whose}), and mlflow {version} changes its "
                "schema, which servers must not write to meanwhile: stop them (on Kubernetes "
                "deployment/mlflow and, where there is one, deployment/trace-jobs: kubectl scale "
                "--replicas=0; docs/upgrade.md), and run the job again"
            )
        if not announced:
            announced = whose
            say(f"waiting for the end of servers' sessions: {whose}")
        time.sleep(0.5)
