"""A commit that was acknowledged survives a power failure, not only a killed process.

Clients commit until the power is cut, the server starts on what is on the disk, and every commit
that was acknowledged before has to be there. `-rP` shows what each cut did.
"""

import contextlib
import math
import random
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg2
import pytest

from infra.components.postgres import GIB, memory_settings
from tests.images.disk import (
    BLOCK,
    NO_SYNC,
    cut_power,
    disk_volume,
    format_disk,
    mounted,
    needs_root,
    place,
    run,
)
from tests.images.ledger import Ledger, Outcome
from tests.images.sandbox import PASSWORD, Postgres, Sandbox, execute, logs, wait_until

SIZE = 2 * GIB
"""Of the image file, which is sparse."""

OWNER = "10002:10002"
CONNECTIONS = 100
CLIENTS = 4
CUTS = 4
TRIES = 3
LEAST = 100
"""Acknowledged commits before the seconds to the cut begin."""
START_SECONDS = 120

TABLES = """
CREATE EXTENSION amcheck;
CREATE TABLE kept (key text PRIMARY KEY, value text NOT NULL);
CREATE INDEX ON kept (value);
ALTER TABLE kept OWNER TO mlflow;
"""

CHECK = """
SELECT count(*) FROM verify_heapam('kept', check_toast := true);
SELECT bt_index_parent_check(indexrelid, heapallindexed := true)
  FROM pg_index WHERE indrelid = 'kept'::regclass;
"""

pytestmark = [pytest.mark.plugins, needs_root]


@contextlib.contextmanager
def on_a_disk(
    sandbox: Sandbox, image: str, disk: Path, *arguments: str, **options: Any
) -> Iterator[Postgres]:
    """PostgreSQL with a stack's settings, and the given ones, on a disk of its own."""
    format_disk(disk, SIZE, OWNER)
    settings = memory_settings(GIB, CONNECTIONS)
    given = {"max_connections": str(CONNECTIONS), **settings.options()}
    with disk_volume(sandbox, disk) as volume:
        server = Postgres(
            sandbox,
            image,
            *(word for name, value in given.items() for word in ("-c", f"{name}={value}")),
            *arguments,
            volume=volume,
            init=True,
            shm_size=settings.dev_shm,
            **options,
        )
        try:
            wait_until(server.is_ready, START_SECONDS, "PostgreSQL is ready")
            server.sql(TABLES)
            # As a server that has run for long: only what comes from now on can be lost.
            with mounted(disk) as root:
                run("sync", "--file-system", root)
            yield server
        finally:
            server.container.remove(force=True)


def connect(port: int) -> "psycopg2.extensions.connection":
    return psycopg2.connect(
        host="127.0.0.1", port=port, user="mlflow", password=PASSWORD, dbname="mlflow"
    )


def commit(port: int, ledger: Ledger, client: int, seed: str) -> None:
    """Insert, overwrite and delete, one commit each, until the server is gone."""
    chance = random.Random(f"{seed}-{client}")
    connection = connect(port)
    with contextlib.suppress(psycopg2.Error), contextlib.closing(connection):
        for number in range(10**9):
            key = f"{client}/{chance.randrange(number + 1)}/{seed}"
            value = None if chance.random() < 0.1 else chance.randbytes(200).hex()
            ledger.attempt(key, value)
            with connection, connection.cursor() as cursor:
                if value is None:
                    cursor.execute("DELETE FROM kept WHERE key = %s", (key,))
                else:
                    cursor.execute(
                        "INSERT INTO kept VALUES (%s, %s)"
                        " ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value",
                        (key, value),
                    )
            ledger.acknowledge(key, value)


def rows(server: Postgres) -> dict[str, str]:
    with contextlib.closing(connect(server.port)) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT key, value FROM kept")
        found = cursor.fetchall()
    assert len(found) == len(dict(found)), "a key is there twice"
    return dict(found)


def fail_once(server: Postgres, disk: Path, seed: str) -> Outcome:
    """Load the server, cut its power, start it again, and compare."""
    ledger = Ledger(rows(server))
    arguments = [(server.port, ledger, client, seed) for client in range(CLIENTS)]
    clients = [threading.Thread(target=commit, args=given) for given in arguments]
    for client in clients:
        client.start()
    wait_until(lambda: ledger.acknowledged(math.inf) > LEAST, START_SECONDS, "there is load")
    after = random.Random(seed).uniform(0, 3)
    time.sleep(after)
    cut = cut_power(disk, server.container)
    for client in clients:
        client.join()
    acknowledged = ledger.acknowledged(cut)
    if not starts(server):
        return Outcome(after, acknowledged, refused=f"does not start: {last_words(server)}")
    try:
        broken = ledger.broken(rows(server), cut)
        checked = server.sql(CHECK)
        refused = "" if checked.strip() == "0" else f"amcheck: {checked}"
    except (psycopg2.Error, AssertionError) as error:  # it does not answer what it is asked
        return Outcome(after, acknowledged, refused=str(error).splitlines()[0])
    return Outcome(after, acknowledged, broken, refused)


def starts(server: Postgres) -> bool:
    """Start it on what is on the disk; returns whether it is ready in the end, and not gone."""

    def gone() -> bool:
        server.container.reload()
        return str(server.container.status) == "exited"

    server.container.start()
    wait_until(lambda: server.is_ready() or gone(), START_SECONDS, "it is ready or gone")
    return not gone()


def last_words(server: Postgres) -> str:
    said = [
        line for line in logs(server.container).splitlines() if "PANIC" in line or "FATAL" in line
    ]
    return said[-1] if said else logs(server.container)[-300:]


def test_acknowledged_commits_are_on_the_disk(
    sandbox: Sandbox, postgres_image: str, tmp_path: Path
) -> None:
    disk = tmp_path / "postgres"
    with on_a_disk(sandbox, postgres_image, disk) as server:
        for number in range(CUTS):
            outcome = fail_once(server, disk, f"settings-{number}")
            print(f"as in a stack: {outcome}")
            assert (outcome.broken, outcome.refused) == ({}, "")


CONTROLS = {
    "fsync=off": ["-c", "fsync=off"],
    "synchronous_commit=off": ["-c", "synchronous_commit=off"],
}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_server_that_does_not_wait_for_the_disk_is_caught(
    sandbox: Sandbox, postgres_image: str, tmp_path: Path, name: str
) -> None:
    for number in range(TRIES):
        disk = tmp_path / f"postgres-{number}"
        with on_a_disk(sandbox, postgres_image, disk, *CONTROLS[name]) as server:
            outcome = fail_once(server, disk, f"{name}-{number}")
        print(f"{name}: {outcome}")
        if outcome.broken or outcome.refused:
            return
    pytest.fail(f"{name}: {TRIES} cuts hit no window")


def test_a_disk_that_confirms_what_it_does_not_keep_is_caught(
    sandbox: Sandbox, postgres_image: str, tmp_path: Path
) -> None:
    disk = tmp_path / "postgres"
    with on_a_disk(sandbox, postgres_image, disk, security_opt=[NO_SYNC]) as server:
        outcome = fail_once(server, disk, "no-sync")
    print(f"fsync does nothing: {outcome}")
    assert outcome.broken or outcome.refused


FILL = """
CREATE EXTENSION pg_buffercache;
CREATE TABLE torn (number int, value int) WITH (autovacuum_enabled = off);
INSERT INTO torn SELECT number, 0 FROM generate_series(1, 100) AS number;
CHECKPOINT;
SELECT pg_relation_filepath('torn');
"""

WRITE_PAGE = """
UPDATE torn SET value = 1;
SELECT sum(pg_buffercache_evict(bufferid)::int) FROM pg_buffercache
 WHERE relfilenode = pg_relation_filenode('torn') AND relforknumber = 0 AND isdirty;
"""


def read(disk: Path, at: int) -> bytes:
    with disk.open("rb") as image:
        image.seek(at)
        return image.read(BLOCK)


@pytest.mark.parametrize("full_page_writes", ["on", "off"])
def test_a_page_of_which_one_half_was_written(
    sandbox: Sandbox, postgres_image: str, tmp_path: Path, full_page_writes: str
) -> None:
    """A page is two of the disk's blocks: where the power fails between them, the write-ahead log
    has to have it whole.
    """
    disk = tmp_path / "postgres"
    arguments = ("-c", f"full_page_writes={full_page_writes}")
    with on_a_disk(sandbox, postgres_image, disk, *arguments) as server:
        file = server.sql(FILL)
        halves = place(disk, f"17/{file}")
        before = [read(disk, half) for half in halves]
        assert server.sql(WRITE_PAGE) == "1"
        # The kernel writes it back, as it does sooner or later; no checkpoint has ended since.
        written = execute(server.container, "sync", "--file-system", "/var/lib/postgresql/data")
        assert written.returncode == 0, written.stderr
        cut_power(disk, server.container)
        first, second = before
        assert first != read(disk, halves[0])
        assert second != read(disk, halves[1])
        with disk.open("r+b") as image:
            image.seek(halves[1])
            image.write(second)
        started = starts(server)
        found = server.sql("SELECT sum(value) FROM torn") if started else last_words(server)
    print(f"full_page_writes={full_page_writes}: {found}")
    assert (found == "100") == (full_page_writes == "on")
