"""A connection to the database that holds the job's lock."""

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from .messages import FailureError, say

# Advisory locks are numbers, one space a database: eight letters that nobody else will choose.
LOCK = int.from_bytes(b"mlfschem")

# Waiting does not mend these. The client library gives no code for a refused connection.
_PERMANENT = (
    "authentication failed",
    "no password supplied",
    "does not exist",
    "no pg_hba.conf entry",
)

_HOLDER = text(
    """
    SELECT format('%s (process %s, since %s)',
                  coalesce(nullif(application_name, ''), usename), pid,
                  to_char(backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
      FROM pg_locks JOIN pg_stat_activity USING (pid)
     WHERE locktype = 'advisory' AND granted AND objsubid = 1
       AND classid::bigint = :lock >> 32 AND objid::bigint = :lock & 4294967295
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    """
)


@contextmanager
def locked_connection(
    uri: URL, *, connect_timeout: float, lock_timeout: float
) -> Iterator[Connection]:
    """Connect and hold the session-level advisory lock until the block ends.

    Both timeouts are in seconds. While the lock is waited for, one line names its holder.

    Raises FailureError when the database accepts no connection or the lock does not come free.
    """
    with _connect(uri, connect_timeout) as connection:
        _lock(connection, lock_timeout)
        yield connection


def _connect(uri: URL, timeout: float) -> Connection:
    name = f"schema-job on {socket.gethostname()}"
    # Without a pool, so that closing the connection ends the session and with it the lock.
    engine = create_engine(
        uri,
        poolclass=NullPool,
        connect_args={"application_name": name, "connect_timeout": 5},
    )
    deadline = time.monotonic() + timeout
    while True:
        try:
            return engine.connect()
        except OperationalError as error:
            reason = " ".join(str(error.orig).split())
            place = f"{uri.host}:{uri.port or 5432}"
            if any(part in reason for part in _PERMANENT):
                raise FailureError(f"the database at {place} turns us away: {reason}") from error
            if time.monotonic() >= deadline:
                raise FailureError(
                    f"the database at {place} accepted no connection for {timeout:g} s: {reason}"
                ) from error
        time.sleep(0.2)


def _lock(connection: Connection, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    announced = ""
    while True:
        with connection.begin():
            if connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}):
                return
            holder = connection.scalar(_HOLDER, {"lock": LOCK})
        if time.monotonic() >= deadline:
            raise FailureError(
                f"the lock was not free within {timeout:g} s; it is held by "
                f"{holder or announced or 'another session'}: wait for that job, or end it"
            )
        if holder and holder != announced:
            announced = str(holder)
            say(f"waiting for the lock held by {announced}")
        time.sleep(0.2)
