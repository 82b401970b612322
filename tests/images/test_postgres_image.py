"""The PostgreSQL image: its first start, restarts after a kill, password, and privileges."""

import json
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from docker.errors import NotFound

from infra.outputs import BackendStore
from tests import certificates
from tests.images.sandbox import PASSWORD, Postgres, Sandbox, ends, execute, logs, wait_until
from workloads.target.backend_store import connect

pytestmark = pytest.mark.plugins


def log_in(server: Postgres, password: str = PASSWORD, database: str = "mlflow") -> str:
    """Ask over TCP who we are, as the application."""
    connection = psycopg2.connect(
        host="127.0.0.1", port=server.port, user="mlflow", password=password, dbname=database
    )
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            return str(cursor.fetchone())
    finally:
        connection.close()


def is_ready(server: Postgres) -> None:
    wait_until(server.is_ready, 120, "PostgreSQL is ready")


def test_the_first_ready_is_the_real_one(sandbox: Sandbox, postgres_image: str) -> None:
    """What answers while the cluster is prepared must never pass for the server."""
    server = Postgres(sandbox, postgres_image, "-c", "max_connections=37")
    is_ready(server)
    assert log_in(server) == "('mlflow',)"
    assert server.sql("SHOW max_connections; SHOW data_checksums") == "37\non"
    processes = str(server.container.top())
    assert "listen_addresses=*" in processes

    everything = json.dumps(server.container.attrs) + processes + logs(server.container)
    assert PASSWORD not in everything
    assert json.dumps(PASSWORD)[1:-1] not in everything
    stored = server.sql("SELECT rolpassword FROM pg_authid WHERE rolname = 'mlflow'")
    assert stored.startswith("SCRAM-SHA-256$")

    server.container.stop(timeout=30)
    assert server.container.wait()["StatusCode"] == 0
    assert "received fast shutdown request" in logs(server.container)


def test_the_application_owns_its_database_and_nothing_else(server: Postgres) -> None:
    rights = server.sql(
        "SELECT rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls"
        " FROM pg_roles WHERE rolname = 'mlflow';"
        "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'mlflow'"
    )
    assert rights == "f|f|f|f|f\nmlflow"
    with pytest.raises(psycopg2.OperationalError, match=r"no pg_hba\.conf entry"):
        log_in(server, database="postgres")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        log_in(server, password="another")
    superuser = execute(
        server.container,
        *("psql", "--host=127.0.0.1", "--username=postgres", "--no-password", "--command=SELECT 1"),
    )
    assert "no pg_hba.conf entry" in superuser.stderr


def test_runs_without_any_privilege(server: Postgres) -> None:
    status = execute(server.container, "cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {"10002"}
    assert set(fields["Gid"].split()) == {"10002"}
    assert {int(fields[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert fields["NoNewPrivs"] == "1"
    assert "Read-only file system" in execute(server.container, "touch", "/etc/x").stderr


def test_a_kill_in_the_first_start_is_made_good(sandbox: Sandbox, postgres_image: str) -> None:
    # A tenth of a processor, so that the kill comes while initdb is at work.
    server = Postgres(sandbox, postgres_image, cpu_period=100_000, cpu_quota=10_000)
    look = ("test", "-e", "/var/lib/postgresql/data/17.new/base")
    wait_until(lambda: execute(server.container, *look).returncode == 0, 120, "initdb is at work")
    server.container.kill()
    assert volume_content(sandbox, postgres_image, server.volume) == {"17.new", "lock"}
    server.container.update(cpu_quota=-1)
    server.container.start()
    is_ready(server)
    assert log_in(server) == "('mlflow',)"
    assert volume_content(sandbox, postgres_image, server.volume) == {"17", "lock"}


def volume_content(sandbox: Sandbox, image: str, volume: str) -> set[str]:
    listing = sandbox.run(
        image,
        ["/var/lib/postgresql/data"],
        entrypoint="ls",
        volumes=[f"{volume}:/var/lib/postgresql/data"],
    )
    return set(ends(listing)[1].split())


def test_a_kill_at_work_loses_nothing_acknowledged(sandbox: Sandbox, postgres_image: str) -> None:
    server = Postgres(sandbox, postgres_image)
    is_ready(server)
    server.sql("CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    for _ in range(2):
        server.container.kill()
        server.container.start()
        is_ready(server)
        assert server.sql("SELECT count(*) FROM kept") == "1000"
        assert log_in(server) == "('mlflow',)"


def test_a_changed_password_takes_effect(
    sandbox: Sandbox, postgres_image: str, tmp_path: Path
) -> None:
    secret = tmp_path / "password"
    secret.write_text("the first")
    server = Postgres(sandbox, postgres_image, secret=secret)
    is_ready(server)
    log_in(server, "the first")
    secret.write_text(r"its \'successor")
    server.container.restart(timeout=30)
    is_ready(server)
    log_in(server, r"its \'successor")
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        log_in(server, "the first")


def test_with_a_certificate_nobody_gets_in_without_tls(
    sandbox: Sandbox, postgres_image: str, tmp_path: Path
) -> None:
    files = certificates.write(tmp_path / "own", "postgres", "127.0.0.1")
    server = Postgres(sandbox, postgres_image, certificate=files)
    is_ready(server)
    # The key is taken over again by each start.
    server.container.restart(timeout=30)
    is_ready(server)
    store = BackendStore(
        host="127.0.0.1", port=server.port, database="mlflow", user="mlflow", ca_file=str(files.ca)
    )
    with closing(connect(store, PASSWORD, "test")) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert cursor.fetchone() == (True, "TLSv1.3")
    stranger = certificates.write(tmp_path / "stranger", "127.0.0.1")
    for other, said in (
        ({"ca_file": str(stranger.ca)}, "certificate verify failed"),
        ({"host": "localhost"}, 'server certificate for "postgres" .* does not match host name'),
    ):
        with pytest.raises(psycopg2.OperationalError, match=said):
            connect(store.model_copy(update=other), PASSWORD, "test")
    with pytest.raises(psycopg2.OperationalError, match=r"no pg_hba\.conf entry .*no encryption"):
        psycopg2.connect(
            host="127.0.0.1",
            port=server.port,
            user="mlflow",
            password=PASSWORD,
            dbname="mlflow",
            sslmode="disable",
        )
    key = files.key.read_text().splitlines()[1]
    assert key not in json.dumps(server.container.attrs) + logs(server.container)


def test_two_servers_never_share_a_volume(sandbox: Sandbox, postgres_image: str) -> None:
    first = Postgres(sandbox, postgres_image)
    is_ready(first)
    second = Postgres(sandbox, postgres_image, volume=first.volume)
    status, output = ends(second.container)
    assert (status, output.strip()) == (
        1,
        "postgres: another container has run on this volume for 10 s: stop it first",
    )
    second.container.start()
    first.container.kill()
    is_ready(second)


@pytest.mark.parametrize(
    ("environment", "password", "message"),
    [
        ({"POSTGRES_USER": ""}, PASSWORD, "POSTGRES_USER is '': give lower-case letters"),
        ({"POSTGRES_USER": "Robert'); --"}, PASSWORD, "POSTGRES_USER is 'Robert'); --': give"),
        ({"POSTGRES_USER": "postgres"}, PASSWORD, "POSTGRES_USER is 'postgres', a reserved role"),
        ({"POSTGRES_DATABASE": "a-b"}, PASSWORD, "POSTGRES_DATABASE is 'a-b': give lower-case"),
        ({}, "", "/run/secrets/database-password is not one line"),
        ({}, "two\nlines", "/run/secrets/database-password is not one line"),
        ({}, None, "/run/secrets/database-password cannot be read"),
    ],
)
def test_bad_settings_give_one_line(
    sandbox: Sandbox,
    postgres_image: str,
    tmp_path: Path,
    environment: dict[str, str],
    password: str | None,
    message: str,
) -> None:
    secret = tmp_path / "password"
    secret.write_text(password or "")
    secret.chmod(0o444 if password is not None else 0o000)
    server = Postgres(sandbox, postgres_image, environment=environment, secret=secret)
    status, output = ends(server.container)
    assert status == 1
    assert output.startswith(f"postgres: {message}")
    assert output.count("\n") == 1


def test_is_not_ready_without_its_database(server: Postgres) -> None:
    """A server that answers, but not for the application, is not ready."""
    server.sql("ALTER DATABASE mlflow RENAME TO elsewhere", "postgres")
    try:
        assert not server.is_ready()
    finally:
        server.sql("ALTER DATABASE elsewhere RENAME TO mlflow", "postgres")
    assert server.is_ready()


def test_what_a_test_starts_is_removed(sandbox: Sandbox, postgres_image: str, secret: Path) -> None:
    """The sweep itself: nothing of a closed session is left."""
    short = Sandbox(sandbox.client, secret)
    server = Postgres(short, postgres_image)
    short.close()
    client = sandbox.client
    for collection, name in (
        (client.containers, server.container.id),
        (client.volumes, server.volume),
        (client.networks, short.network.id),
    ):
        with pytest.raises(NotFound):
            collection.get(str(name))
