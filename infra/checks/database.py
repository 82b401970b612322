"""Checks a PostgreSQL database as a backend store, before anything is deployed on it."""

import contextlib
import re
import socket
from collections.abc import Iterator
from typing import Any

import psycopg2

from infra.components.capacity import Capacity
from infra.components.users import SCHEMA as USERS_SCHEMA
from infra.specification.external import ExternalDatabase

MINIMUM_VERSION = 12
"""Oldest major version that is accepted. MLflow's migrations need 11, for covering indexes;
SQLAlchemy 2's dialect is tested by its makers with 12 and newer."""

CONNECT_SECONDS = 5

RECORD_SCHEMA = "mlflow_bench"
"""PostgreSQL schema of the schema job's own table."""

# The schema job makes schemas beside MLflow's: schema_job/record.py and users.py.
_FACTS = """
SELECT current_setting('server_version_num')::int / 10000,
       current_setting('server_version'),
       pg_is_in_recovery() OR current_setting('default_transaction_read_only')::bool,
       pg_encoding_to_char(encoding),
       coalesce(has_schema_privilege(current_schema(), 'CREATE'), false),
       NOT EXISTS (SELECT FROM unnest(%s) AS needed WHERE to_regnamespace(needed) IS NULL)
           OR has_database_privilege(current_database(), 'CREATE'),
       current_setting('max_connections')::int,
       rolconnlimit,
       datconnlimit
  FROM pg_database, pg_roles
 WHERE datname = current_database() AND rolname = current_user
"""


class DatabaseError(ValueError):
    """The database cannot be used as it is described; the message is one line."""


class UnreachedError(DatabaseError):
    """This machine cannot connect to its server."""


def check(database: ExternalDatabase, capacity: Capacity, *, users: bool = False) -> None:
    """Connect and compare the server with what MLflow and a stack of that capacity need.

    `users`: their tables will be in it, too.

    Raises DatabaseError with one line that says what is wrong, where, and what to do; it never
    contains the password. It is an UnreachedError if there was no connection.
    """
    place = f"{database.name!r} at {database.host}:{database.port}"
    try:
        with _cursor(database) as cursor:
            cursor.execute(_FACTS, ([RECORD_SCHEMA, *([USERS_SCHEMA] if users else [])],))
            facts = cursor.fetchone()
    except psycopg2.Error as error:
        kind = DatabaseError if _reached(database) else UnreachedError
        raise kind(f"{place}: {_reason(error, database)}") from None
    if problem := _problem(facts, database, capacity):
        raise DatabaseError(f"{place}: {problem}")


def _reached(database: ExternalDatabase) -> bool:
    """Return whether anything accepts a connection; libpq's errors do not say."""
    try:
        socket.create_connection((database.host, database.port), timeout=CONNECT_SECONDS).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def _cursor(database: ExternalDatabase) -> Iterator[Any]:
    connection = psycopg2.connect(
        host=database.host,
        port=database.port,
        dbname=database.name,
        user=database.user,
        password=database.password,
        sslmode=database.ssl_mode.value,
        sslrootcert=str(database.ca) if database.ca else None,
        connect_timeout=CONNECT_SECONDS,
        application_name="mlflow-bench check",
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute("SET statement_timeout = '10s'")
        yield cursor


def _problem(facts: Any, database: ExternalDatabase, capacity: Capacity) -> str:
    """Return why MLflow cannot use the database; empty if it can."""
    (
        major,
        version,
        read_only,
        encoding,
        creates_tables,
        creates_schema,
        connections,
        of_role,
        of_database,
    ) = facts
    if major < MINIMUM_VERSION:
        return f"is PostgreSQL {version}; MLflow needs {MINIMUM_VERSION} or newer"
    if read_only:
        return "is read-only; give the primary server"
    if encoding != "UTF8":
        return f"has the encoding {encoding}; create one with UTF8"
    user = f'"{database.user}"'
    if not creates_tables:
        return f"{user} may not create tables; GRANT CREATE ON SCHEMA public TO {user}"
    if not creates_schema:
        return (
            f'{user} may not create a schema; GRANT CREATE ON DATABASE "{database.name}" TO {user}'
        )
    limits = {
        "max_connections of the server": connections,
        f"the connection limit of {user}": of_role,
        "the connection limit of the database": of_database,
    }
    for what, limit in limits.items():
        # -1 is no limit.
        if 0 <= limit < capacity.max_connections:
            return (
                f"{what} is {limit}, too few for {capacity.arithmetic}; raise it to "
                f"{capacity.max_connections}, or set fewer workers or replicas"
            )
    return ""


_NO_POSTGRESQL = "does not answer as PostgreSQL does; correct host and port"

# Part of libpq's message to its meaning; the first match counts.
_REASONS = (
    ("could not translate host name", "its name is not known here; correct the host"),
    ("Connection refused", "nothing listens there; is it running, and host and port right?"),
    ("timeout expired", "no answer in {seconds} s; is a firewall between?"),
    ("password authentication failed", "refuses the user or the password; correct database.url"),
    ("does not exist", "{detail}; create it, or correct database.url"),
    ("no pg_hba.conf entry", "{detail}; let the servers in, too: its pg_hba.conf"),
    ("does not support SSL", "speaks no TLS; set database.ssl_mode prefer"),
    ("certificate verify failed", "its certificate is not signed by database.ca"),
    ("does not match host name", "{detail}; correct the host, or set database.ssl_mode verify-ca"),
    ("could not read root certificate", "database.ca holds no certificates in PEM format"),
    ("invalid response to SSL", _NO_POSTGRESQL),
    ("expected authentication request", _NO_POSTGRESQL),
    ("too many clients", "all its connections are taken; end some, or raise max_connections"),
    ("remaining connection slots", "all its connections are taken; raise max_connections"),
    ("too many connections for", "{detail}; raise the limit"),
)


def _reason(error: psycopg2.Error, database: ExternalDatabase) -> str:
    text = " ".join(str(error).split()).replace(database.password, "***")
    # The last of several addresses; before it libpq repeats where it connects to.
    detail = re.sub(r".*(?:failed|FATAL|ERROR): +", "", text)
    for part, meaning in _REASONS:
        if part in text:
            return meaning.format(detail=detail, seconds=CONNECT_SECONDS)
    return f"{detail or 'no connection'}; check database.url"
