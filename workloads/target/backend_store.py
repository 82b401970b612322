"""The backend store of a stack, past its servers."""

from typing import Any

import psycopg2
from psycopg2.extensions import connection

from infra.outputs import BackendStore

CONNECT_S = 10


def connect(
    store: BackendStore, password: str, purpose: str, timeout_s: int = CONNECT_S
) -> connection:
    """Return a connection; raises `psycopg2.Error`. PostgreSQL shows its `purpose`."""
    verified: dict[str, Any] = {}
    if store.ca_file:
        verified = {"sslmode": "verify-full", "sslrootcert": store.ca_file}
    made: connection = psycopg2.connect(
        host=store.host,
        port=store.port,
        dbname=store.database,
        user=store.user,
        password=password,
        connect_timeout=timeout_s,
        application_name=f"mlflow-bench {purpose}",
        **verified,
    )
    return made
