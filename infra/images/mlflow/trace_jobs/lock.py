"""Locks in the database: of all trace jobs on it, one works at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

JOBS, ROLLUPS = (int.from_bytes(name) for name in (b"mlftrace", b"mlfrolls"))
"""Advisory locks are numbers, one space a database. The schema job takes that of the rollups."""

# The session's, so that the database itself frees it when the process is gone.
_TAKE = text("SELECT pg_try_advisory_lock(:lock)")
_FREE = text("SELECT pg_advisory_unlock(:lock)")


@contextmanager
def held(engine: Engine, lock: int) -> Iterator[bool]:
    """Hold a lock until the block ends; False: others hold it."""
    with engine.connect() as plain:
        # A transaction that lasts as long as the work would keep PostgreSQL from cleaning up.
        connection = plain.execution_options(isolation_level="AUTOCOMMIT")
        if not connection.scalar(_TAKE, {"lock": lock}):
            yield False
            return
        try:
            yield True
        finally:
            connection.execute(_FREE, {"lock": lock})
