"""Traces copied into the backend store, past every tracking server.

What is written is what a server would have written, in transactions of some hundred traces: a fill
that was interrupted goes on where it was when it is repeated.
"""

import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context

import psycopg2
from psycopg2.extensions import connection as Connection  # noqa: N812 - psycopg2's own name

from infra.outputs import BackendStore
from workloads import CannotRunError
from workloads.filling import rows, traces
from workloads.filling.facts import Shape
from workloads.target.backend_store import connect

AT_ONCE = 500
"""Traces of a transaction."""
PROCESSES = min(4, os.cpu_count() or 1)


@dataclass(frozen=True)
class Place:
    """An experiment in a database.

    Attributes:
        rollups: its servers have rollups enabled, and so keep a queue of days to rebuild.
    """

    store: BackendStore
    password: str
    experiment_id: str
    rollups: bool = False


def fill(
    place: Place,
    shape: Shape,
    progress: Callable[[int, int], None] = lambda _made, _all: None,
    processes: int = PROCESSES,
) -> int:
    """Copy the traces that are not there yet; returns how many those were.

    Raises `CannotRunError` where the database cannot be reached, has a schema that is not known,
    or refuses a row.
    """
    with _connected(place) as connection:
        _check_schema(connection)
        location = _artifact_location(connection, place)
        begins = list(_missing(connection, shape, place.experiment_id))
    total = sum(_numbers(shape, begin) for begin in begins)
    made = 0
    # Spawned: a forked child would share the parent's connections and locks.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        waiting = iter(begins)
        running: set[Future[int]] = set()
        try:
            while True:
                for begin in islice(waiting, 2 * processes - len(running)):
                    running.add(pool.submit(_copy, place, shape, location, begin))
                if not running:
                    break
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for future in done:
                    made += future.result()
                    progress(made, total)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    with _connected(place) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            # As autovacuum leaves tables that grew over weeks.
            cursor.execute(f"vacuum (analyze) {', '.join(rows.COLUMNS)}")
    return made


def check(place: Place) -> None:
    """Raise `CannotRunError` unless the database can be reached and the rows are known."""
    with _connected(place) as connection:
        _check_schema(connection)


def _check_schema(connection: Connection) -> None:
    """Raise `CannotRunError` unless the rows of this schema are known."""
    with connection.cursor() as cursor:
        cursor.execute("select to_regclass('alembic_version') is not null")
        [(there,)] = cursor.fetchall()
        if not there:
            raise CannotRunError("the database has no schema of MLflow: start a server on it first")
        cursor.execute("select version_num from alembic_version")
        found = [version for (version,) in cursor.fetchall()]
    if len(found) != 1 or found[0] not in rows.REVISIONS:
        known = ", ".join(f"{key} ({release})" for key, release in rows.REVISIONS.items())
        raise CannotRunError(
            f"the database's schema is at revision {', '.join(found) or 'none'}, and rows are "
            f"known for {known}: take that release of MLflow"
        )


def size(place: Place) -> int:
    """Bytes of the whole database."""
    with _connected(place) as connection, connection.cursor() as cursor:
        cursor.execute("select pg_database_size(current_database())")
        [(found,)] = cursor.fetchall()
        return int(found)


@contextmanager
def _connected(place: Place) -> Iterator[Connection]:
    """A connection; what was done is committed at the end, unless there was an error."""
    try:
        with closing(connect(place.store, place.password, "filling")) as connection:
            yield connection
            connection.commit()
    except psycopg2.Error as error:
        reason = str(error).strip().splitlines()[0]
        raise CannotRunError(
            f"database at {place.store.host}:{place.store.port}: {reason}"
        ) from None


def _artifact_location(connection: Connection, place: Place) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "select artifact_location from experiments where experiment_id = %s",
            (int(place.experiment_id),),
        )
        if (found := cursor.fetchone()) is None:
            raise CannotRunError(
                f"the database has no experiment {place.experiment_id}: is it this server's?"
            )
        return str(found[0])


def _missing(connection: Connection, shape: Shape, experiment_id: str) -> Iterator[int]:
    """Yield the first numbers of the transactions that are still to be made."""
    firsts = {
        traces.trace_id(begin, shape, experiment_id): begin
        for begin in range(0, shape.traces, AT_ONCE)
    }
    with connection.cursor() as cursor:
        cursor.execute(
            "select request_id from trace_info where request_id = any(%s)", (list(firsts),)
        )
        there = {found for (found,) in cursor.fetchall()}
    return (begin for key, begin in firsts.items() if key not in there)


def _numbers(shape: Shape, begin: int) -> int:
    return min(begin + AT_ONCE, shape.traces) - begin


def _copy(place: Place, shape: Shape, location: str, begin: int) -> int:
    """Copy the traces of one transaction; returns how many."""
    numbers = range(begin, begin + _numbers(shape, begin))
    texts = {table: io.StringIO() for table in rows.COLUMNS}
    for number in numbers:
        trace = traces.trace(number, shape, place.experiment_id)
        for table, row in rows.rows(trace, place.experiment_id, location):
            texts[table].write(rows.copied(row))
    with _connected(place) as connection, connection.cursor() as cursor:
        if place.rollups:
            _enqueue(cursor, place, [shape.began_ms(number) for number in numbers])
        for table, text in texts.items():
            text.seek(0)
            columns = ", ".join(rows.COLUMNS[table])
            cursor.copy_expert(f"copy {table} ({columns}) from stdin", text)
    return len(numbers)


def _enqueue(cursor: "psycopg2.extensions.cursor", place: Place, began_ms: Iterable[int]) -> None:
    now_ms = time.time_ns() // 1_000_000
    # In one order, so that several transactions cannot wait for each other.
    for row in sorted(rows.rebuilds(list(began_ms), place.experiment_id, now_ms), key=str):
        cursor.execute(
            """
            insert into sql_trace_rollup_rebuild_queue (experiment_id, rollup_day, rollup_family)
            values (%s, %s, %s) on conflict do nothing
            """,
            row,
        )
