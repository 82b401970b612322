"""The check of any PostgreSQL database, against a real server in states that are of no use."""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from infra.checks.database import DatabaseError, check
from infra.components.capacity import capacity
from infra.specification.external import ExternalDatabase
from tests.images.sandbox import PASSWORD, Postgres, Sandbox, certificate, wait_until

pytestmark = pytest.mark.plugins

SMALLEST = capacity(replicas=1, workers=1, jobs=False)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The certificate of `localhost`, with its key beside it."""
    return certificate(tmp_path_factory.mktemp("tls"), "DNS:localhost")


@pytest.fixture(scope="module")
def mine(sandbox: Sandbox, postgres_image: str, authority: Path) -> Iterator[Postgres]:
    """A server with TLS and enough connections."""
    server = Postgres(sandbox, postgres_image, "-c", f"max_connections={SMALLEST.max_connections}")
    wait_until(server.is_ready, 120, "PostgreSQL is ready")
    server.use_tls(authority)
    yield server
    server.container.remove(force=True)


def described(server: Postgres, **changes: Any) -> ExternalDatabase:
    """Return a server as a stack file describes it; `url` parts and settings can be changed."""
    parts = {
        "user": "mlflow",
        "password": PASSWORD,
        "host": "localhost",
        "port": str(server.port),
        "name": "mlflow",
    }
    given = {key: changes.pop(key, value) for key, value in parts.items()}
    user, password, name = (quote(given[key], safe="") for key in ("user", "password", "name"))
    url = f"postgresql://{user}:{password}@{given['host']}:{given['port']}/{name}"
    return ExternalDatabase.model_validate({"url": url} | changes)


def complaint(database: ExternalDatabase, needed: Any = SMALLEST) -> str:
    """Return the one line that the check raises, after the database and its address."""
    with pytest.raises(DatabaseError) as caught:
        check(database, needed)
    line = str(caught.value)
    assert "\n" not in line
    assert database.password not in line
    start = f"{database.name!r} at {database.host}:{database.port}: "
    assert line.startswith(start)
    return line.removeprefix(start)


def test_a_good_database_passes_and_is_left_as_it_was(mine: Postgres, authority: Path) -> None:
    before = mine.dump()
    check(described(mine), SMALLEST)
    check(described(mine, ssl_mode="verify-full", ca=authority), SMALLEST)
    assert mine.dump() == before


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"password": "wrong"}, "refuses the user or the password; correct database.url"),
        ({"user": "nobody"}, "no pg_hba.conf entry for host"),
        ({"name": "other"}, "no pg_hba.conf entry for host"),
        ({"host": "no-such-host.invalid"}, "its name is not known here; correct the host"),
    ],
)
def test_what_is_turned_away(mine: Postgres, changes: dict[str, str], line: str) -> None:
    assert line in complaint(described(mine, **changes))


def test_a_port_that_nothing_or_another_listens_on(
    mine: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("infra.checks.database.CONNECT_SECONDS", 2)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        database = described(mine, host="127.0.0.1", port=str(port))
        assert complaint(database).startswith("nothing listens there; is it running")
        listener.listen()
        assert complaint(database) == "no answer in 2 s; is a firewall between?"


def test_the_certificate_is_compared(mine: Postgres, authority: Path, tmp_path: Path) -> None:
    other = certificate(tmp_path, "DNS:localhost")
    strict = {"ssl_mode": "verify-full"}
    assert complaint(described(mine, ca=other, **strict)) == (
        "its certificate is not signed by database.ca"
    )
    by_address = described(mine, ca=authority, host="127.0.0.1", **strict)
    assert complaint(by_address).endswith("correct the host, or set database.ssl_mode verify-ca")


def test_a_server_without_tls(server: Postgres) -> None:
    assert complaint(described(server)) == "speaks no TLS; set database.ssl_mode prefer"


def test_too_few_connections_are_told_with_the_sum(mine: Postgres) -> None:
    assert complaint(described(mine), capacity(replicas=2, workers=1, jobs=False)) == (
        "max_connections of the server is 72, too few for 2 replica(s) x 1 worker(s) x (36 in use "
        "+ 16 kept open) + 20 reserved = 124 connections; raise it to 124, or set fewer workers or "
        "replicas"
    )


def test_a_version_that_is_too_old(mine: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("infra.checks.database.MINIMUM_VERSION", 99)
    line = complaint(described(mine))
    assert line.startswith("is PostgreSQL 17.")
    assert line.endswith("; MLflow needs 99 or newer")


# done to the database, what the line says, done afterwards
STATES = [
    (
        "ALTER ROLE mlflow CONNECTION LIMIT 50",
        'the connection limit of "mlflow" is 50, too few for 1 replica(s)',
        "ALTER ROLE mlflow CONNECTION LIMIT -1",
    ),
    (
        "ALTER DATABASE mlflow CONNECTION LIMIT 71",
        "the connection limit of the database is 71, too few for",
        "ALTER DATABASE mlflow CONNECTION LIMIT -1",
    ),
    (
        "ALTER SCHEMA public OWNER TO postgres; ALTER DATABASE mlflow OWNER TO postgres",
        '"mlflow" may not create tables; GRANT CREATE ON SCHEMA public TO "mlflow"',
        "ALTER SCHEMA public OWNER TO pg_database_owner; ALTER DATABASE mlflow OWNER TO mlflow",
    ),
    (
        "ALTER DATABASE mlflow OWNER TO postgres; GRANT CREATE ON SCHEMA public TO mlflow",
        '"mlflow" may not create a schema; GRANT CREATE ON DATABASE "mlflow" TO "mlflow"',
        "ALTER DATABASE mlflow OWNER TO mlflow",
    ),
    (
        "ALTER ROLE mlflow SET default_transaction_read_only = on",
        "is read-only; give the primary server",
        "ALTER ROLE mlflow RESET default_transaction_read_only",
    ),
]


@pytest.mark.parametrize(("before", "line", "after"), STATES)
def test_a_state_of_no_use(mine: Postgres, before: str, line: str, after: str) -> None:
    mine.sql(before)
    try:
        assert line in complaint(described(mine))
    finally:
        mine.sql(after)
    check(described(mine), SMALLEST)


def test_a_right_to_create_schemas_is_asked_for_while_one_is_missing(mine: Postgres) -> None:
    mine.sql(
        "ALTER DATABASE mlflow OWNER TO postgres; GRANT CREATE ON SCHEMA public TO mlflow;"
        "CREATE SCHEMA mlflow_bench AUTHORIZATION mlflow"
    )
    try:
        check(described(mine), SMALLEST)
        with pytest.raises(DatabaseError, match="may not create a schema; GRANT CREATE ON DATA"):
            check(described(mine), SMALLEST, users=True)
        mine.sql("CREATE SCHEMA mlflow_auth AUTHORIZATION mlflow")
        check(described(mine), SMALLEST, users=True)
    finally:
        mine.sql(
            "DROP SCHEMA IF EXISTS mlflow_bench, mlflow_auth; ALTER DATABASE mlflow OWNER TO mlflow"
        )


def test_an_encoding_that_holds_not_every_text(mine: Postgres) -> None:
    mine.sql("DROP DATABASE mlflow", "postgres")
    create = "CREATE DATABASE mlflow OWNER mlflow TEMPLATE template0"
    mine.sql(f"{create} ENCODING 'LATIN1' LOCALE_PROVIDER libc LOCALE 'C'", "postgres")
    assert complaint(described(mine)) == "has the encoding LATIN1; create one with UTF8"
