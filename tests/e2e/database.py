"""The database of a stack, as checks reach it."""

from contextlib import closing
from typing import Any

import psycopg2


def ask(outputs: dict[str, Any], statement: str, *values: object) -> list[Any]:
    """Do one statement, by the outputs of a stack; return the rows that it gives."""
    store = outputs["target"]["backend_store"]
    ca_file = store.get("ca_file")
    tls = {"sslmode": "verify-full", "sslrootcert": ca_file} if ca_file else {}
    with (
        closing(
            psycopg2.connect(
                host=store["host"],
                port=store["port"],
                dbname=store["database"],
                user=store["user"],
                password=outputs["audit_secrets"]["database_password"],
                **tls,
            )
        ) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []
