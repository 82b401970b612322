"""The schema job against a real PostgreSQL, one test a state that a database can be in.

Most tests call the job's `main` in this process, which spares importing mlflow each time; those
about several jobs at once or a killed one run it in its image.
"""

import re
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg2
import pytest
from alembic.script import ScriptDirectory
from cryptography.fernet import Fernet
from docker.models.containers import Container
from mlflow.store.db.base_sql_model import Base
from mlflow.store.tracking.dbmodels.initial_models import Base as InitialBase
from mlflow.utils import crypto
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from infra.images.mlflow.schema_job import __main__ as job
from infra.images.mlflow.schema_job import database as job_database
from infra.images.mlflow.schema_job import encryption, sessions, users
from infra.images.mlflow.schema_job.migrations import Migrations
from scripts.archive.database import has_workspaces
from scripts.archive.encryption import Keys, sealed
from scripts.stack import indexes
from tests.images.sandbox import PASSWORD, Postgres, Sandbox, ends, logs, wait_until

pytestmark = [
    pytest.mark.plugins,
    # mlflow's models and one of its first migrations, on this SQLAlchemy.
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),
    pytest.mark.filterwarnings("ignore:Column-expression-level unary distinct"),
]

DESTINATION = "/var/lib/mlflow/artifacts"
HEAD = Migrations().image().head
# Of 2019 (the first of all), 2022, 2024 and 2025.
OLDER = ("451aebb31d03", "cc1f77228345", "4465047574b1", "6953534de441")


class Database:
    """The database `mlflow` of the shared server, new for each test."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.uri = f"postgresql+psycopg2://mlflow@127.0.0.1:{server.port}/mlflow"

    def reset(self, template: str = "template1") -> None:
        self.server.sql(
            f"DROP DATABASE IF EXISTS mlflow WITH (FORCE);"
            f"CREATE DATABASE mlflow OWNER mlflow TEMPLATE {template}",
            "postgres",
        )

    def at(self, revision: str) -> None:
        """Give the database the schema of a revision, with one experiment, run and metric."""
        template = f"at_{revision}"
        query = f"SELECT count(*) FROM pg_database WHERE datname = '{template}'"
        if self.server.sql(query, "postgres") == "0":
            self._make(revision, template)
        self.reset(template)

    def _make(self, revision: str, template: str) -> None:
        self.reset()
        engine = create_engine(self.uri, poolclass=NullPool)
        with engine.begin() as connection:
            InitialBase.metadata.create_all(connection)
            Migrations().upgrade(connection, revision)
        self.server.sql(
            "SET ROLE mlflow;"
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage)"
            " VALUES (7, 'kept', 'mlflow-artifacts:/7', 'active');"
            "INSERT INTO runs (run_uuid, name, experiment_id, user_id, status, lifecycle_stage,"
            " source_type, start_time) VALUES ('r1', 'first', 7, 'ann', 'FINISHED', 'active',"
            " 'LOCAL', 1);"
            "INSERT INTO metrics (key, value, timestamp, run_uuid) VALUES ('loss', 0.5, 1, 'r1')"
        )
        self.server.sql(f"CREATE DATABASE {template} TEMPLATE mlflow", "postgres")

    def job(self, *arguments: str, destination: str = DESTINATION) -> int:
        return job.main(
            ["--database-uri", self.uri, "--artifacts-destination", destination, *arguments]
        )


@pytest.fixture
def database(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Database]:
    passwords = tmp_path / "pgpass"
    escaped = PASSWORD.replace("\\", "\\\\").replace(":", "\\:")
    passwords.write_text(f"*:*:*:*:{escaped}\n")
    passwords.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(passwords))
    database = Database(server)
    database.reset()
    yield database
    server.sql(
        "DROP DATABASE IF EXISTS mlflow WITH (FORCE);CREATE DATABASE mlflow OWNER mlflow",
        "postgres",
    )


def said(capsys: pytest.CaptureFixture[str]) -> str:
    """The job's only line, from either stream."""
    captured = capsys.readouterr()
    text = captured.out + captured.err
    assert re.fullmatch(r"schema-job: [^\n]+\n", text), text
    return text.strip()


# States that the job brings to the head. SQL comes after the schema of the named revision.
ACCEPTED = {
    "empty": (None, "", "created"),
    "empty, with a version table": (
        None,
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
        "ALTER TABLE alembic_version OWNER TO mlflow",
        "created",
    ),
    "empty, with an extension's views": (None, "CREATE EXTENSION pg_stat_statements", "created"),
    "at the head": (HEAD, "", "verified"),
    "other tables beside": (HEAD, "CREATE TABLE dashboards (id int)", "verified"),
    "a column more that may stay empty": (HEAD, "ALTER TABLE runs ADD mine text", "verified"),
} | {f"older, at {revision}": (revision, "", "upgraded") for revision in OLDER}


@pytest.mark.parametrize(("revision", "sql", "done"), ACCEPTED.values(), ids=ACCEPTED)
def test_brings_to_the_head(
    database: Database,
    capsys: pytest.CaptureFixture[str],
    revision: str | None,
    sql: str,
    done: str,
) -> None:
    if revision:
        database.at(revision)
    database.server.sql(sql)
    assert database.job() == 0
    took = "" if done == "verified" else r" in \d+\.\d s"
    assert re.fullmatch(
        rf"schema-job: {done} the schema at revision {HEAD}{took} \(mlflow [\d.]+\), artifacts at "
        rf"{DESTINATION}",
        said(capsys),
    )
    query = database.server.sql
    assert query("SELECT version_num FROM alembic_version") == HEAD
    tables = query("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").split()
    assert set(Base.metadata.tables) <= set(tables)
    assert (
        query(
            "SELECT count(*) FROM pg_tables WHERE tableowner <> 'mlflow' "
            "AND schemaname = 'public' AND tablename <> 'dashboards'"
        )
        == "0"
    )
    assert (
        query(
            "SELECT name, artifact_location, lifecycle_stage, workspace FROM experiments "
            "WHERE experiment_id = 0"
        )
        == "Default|mlflow-artifacts:/0|active|default"
    )
    if revision:
        kept = (
            "SELECT e.name, r.name, key, value FROM experiments e"
            " JOIN runs r USING (experiment_id) JOIN metrics USING (run_uuid)"
        )
        assert query(kept) == "kept|first|loss|0.5"
    assert query("SELECT artifacts_destination FROM mlflow_bench.deployment") == DESTINATION


def test_a_second_job_changes_only_the_time_of_its_record(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert database.job() == 0
    assert "created" in said(capsys)
    before = database.server.dump("--exclude-table-data=mlflow_bench.deployment")
    times = "SELECT first_time, last_time > first_time FROM mlflow_bench.deployment"
    first = database.server.sql(times)
    assert database.job() == 0
    assert "verified" in said(capsys)
    assert database.server.dump("--exclude-table-data=mlflow_bench.deployment") == before
    assert database.server.sql(times) == first.removesuffix("f") + "t"


REFUSED = {
    "newer": (
        HEAD,
        "UPDATE alembic_version SET version_num = 'ffffffffffff'",
        "is newer than this image: it is at revision ffffffffffff",
    ),
    "two revisions": (
        HEAD,
        f"INSERT INTO alembic_version VALUES ('{OLDER[2]}')",
        f"half-migrated: it has MLflow's tables and 2 schema revisions ({OLDER[2]}, {HEAD})",
    ),
    "no version table": (
        HEAD,
        "DROP TABLE alembic_version",
        "half-migrated: it has MLflow's tables and 0 schema revisions (none)",
    ),
    "an empty version table": (
        OLDER[0],
        "DELETE FROM alembic_version",
        "half-migrated: it has MLflow's tables and 0 schema revisions (none)",
    ),
    "a column dropped": (
        HEAD,
        "ALTER TABLE runs DROP COLUMN deleted_time",
        "half-migrated: column runs.deleted_time is missing",
    ),
    "a column more that must be filled": (
        HEAD,
        "ALTER TABLE registered_models ADD mine text NOT NULL",
        "half-migrated: column registered_models.mine is unknown and must be filled",
    ),
    "a table dropped": (
        HEAD,
        "DROP TABLE trace_info CASCADE",
        "half-migrated: table trace_info is missing",
    ),
    "a first table dropped": (
        HEAD,
        "DROP TABLE params",
        f"half-migrated: it says revision {HEAD} but lacks the tables params",
    ),
    "an old one that its migrations do not fit": (
        OLDER[3],
        "ALTER TABLE model_version_tags RENAME TO version_tags",
        "half-migrated: a migration does not fit its content",
    ),
    "an old one that lacks a column": (
        OLDER[2],
        "ALTER TABLE runs DROP COLUMN source_version",
        "half-migrated: column runs.source_version is missing",
    ),
    "foreign tables": (
        None,
        "CREATE TABLE orders (id int); CREATE TABLE tags (id int)",
        "is not MLflow's: it holds 2 other tables, as 'orders'",
    ),
    "foreign tables in another schema": (
        None,
        "CREATE SCHEMA shop; CREATE TABLE shop.orders (id int)",
        "is not MLflow's: it holds 1 other tables, as 'shop.orders'",
    ),
    "another program's revision": (
        None,
        "CREATE TABLE orders (id int); CREATE TABLE alembic_version (version_num varchar(32));"
        "GRANT SELECT ON alembic_version TO mlflow; INSERT INTO alembic_version VALUES ('abc')",
        "is not MLflow's: it holds 1 other tables, as 'orders'",
    ),
}


@pytest.mark.parametrize(("revision", "sql", "message"), REFUSED.values(), ids=REFUSED)
def test_refuses_and_changes_nothing(
    database: Database,
    capsys: pytest.CaptureFixture[str],
    revision: str | None,
    sql: str,
    message: str,
) -> None:
    if revision:
        database.at(revision)
    database.server.sql(sql)
    before = database.server.dump()
    assert database.job() == 3
    line = said(capsys)
    assert line.startswith("schema-job: refused: the database ")
    assert message in line
    assert "restore a backup" in line or "use an image" in line or "give an empty" in line
    assert database.server.dump() == before


def test_a_fresh_database_has_the_indexes_that_are_written_down(database: Database) -> None:
    """`python -m scripts.benchmarks.indexes` writes them anew, for another pinned release."""
    assert database.job() == 0
    release, *present = database.server.sql(indexes.QUERY).splitlines()
    assert indexes.expected(release) == present
    database.server.sql("DROP INDEX index_metrics_run_uuid")
    _, *left = database.server.sql(indexes.QUERY).splitlines()
    [lost] = indexes.missing(present, left)
    assert indexes.name(lost) == "index_metrics_run_uuid"
    database.server.sql(indexes.concurrently(lost))
    _, *mended = database.server.sql(indexes.QUERY).splitlines()
    assert indexes.missing(present, mended) == []


def test_refuses_another_artifact_destination(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert database.job(destination="gs://bucket/a/") == 0
    capsys.readouterr()
    before = database.server.dump()
    assert database.job(destination="gs://bucket/b") == 3
    assert "artifact destination 'gs://bucket/a', not 'gs://bucket/b'" in said(capsys)
    assert database.server.dump() == before


def test_refuses_the_same_bucket_name_elsewhere(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    here, there = "--artifacts-service=http://here:9000", "--artifacts-service=AWS S3"
    assert database.job(here, destination="gs://bucket") == 0
    assert database.job(here, destination="gs://bucket/") == 0
    for elsewhere in ([there], []):
        capsys.readouterr()
        assert database.job(*elsewhere, destination="gs://bucket") == 3
        assert "destination 'gs://bucket at http://here:9000', not 'gs://bucket" in said(capsys)


def test_a_store_that_does_not_answer_here_stops_it_with_nothing_changed(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "someone")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "something")
    assert database.job(destination="s3://bucket/a") == 1
    line = said(capsys)
    assert "s3://bucket/a at http://127.0.0.1:1 cannot be used from inside the stack" in line
    assert database.server.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == "0"


@pytest.mark.parametrize(
    ("first", "second"),
    [("gs://b/a/", "gs://b/a"), ("/srv/a", "/srv/a//"), ("file:///srv/a", "/srv/a"), ("/", "/")],
)
def test_spellings_of_one_destination_agree(
    database: Database, capsys: pytest.CaptureFixture[str], first: str, second: str
) -> None:
    database.at(HEAD)
    assert [database.job(destination=place) for place in (first, second)] == [0, 0]


def test_experiments_outside_the_server_are_counted_in_a_warning(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.at(HEAD)
    database.server.sql("UPDATE experiments SET artifact_location = './mlruns/7'")
    assert database.job() == 0
    warning, done = capsys.readouterr().out.splitlines()
    assert "warning: 1 experiments keep their artifacts outside" in warning
    assert "'./mlruns/7'" in warning
    assert "verified" in done


def connect(database: Database, name: str) -> "psycopg2.extensions.connection":
    return psycopg2.connect(
        host="127.0.0.1",
        port=database.server.port,
        user="mlflow",
        dbname="mlflow",
        application_name=name,
    )


def test_names_the_holder_of_the_lock(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    before = database.server.dump()
    holder = connect(database, "nightly-upgrade")
    with holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (job_database.LOCK,))
    started = time.monotonic()
    assert database.job("--lock-timeout", "1") == 1
    assert 1 <= time.monotonic() - started < 5
    captured = capsys.readouterr()
    named = rf"nightly-upgrade \(process {holder.info.backend_pid}, since .* UTC\)"
    assert re.fullmatch(rf"schema-job: waiting for the lock held by {named}\n", captured.out)
    assert re.search(rf"failed: the lock was not free within 1 s; .* {named}", captured.err)
    assert database.server.dump() == before
    holder.close()
    assert database.job("--lock-timeout", "5") == 0


def test_a_table_in_use_ends_the_upgrade_in_time(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.at(OLDER[3])
    before = database.server.dump()
    user = connect(database, "user")
    with user.cursor() as cursor:
        cursor.execute("SELECT * FROM experiments")
    assert database.job("--lock-timeout", "1") == 1
    assert "failed, nothing is changed: canceling statement due to lock timeout" in said(capsys)
    user.close()
    assert database.server.dump() == before


SERVER = """
export PGPASSWORD="$(cat /run/secrets/database-password)"
exec psql -h 127.0.0.1 -U mlflow mlflow -c "SET application_name = ''" -c "SELECT pg_sleep(900)"
"""
"""A session as servers have them: of another address, and without a name."""


def test_a_schema_does_not_change_under_servers(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    server = database.server
    database.at(OLDER[3])
    asleep = "FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND application_name = ''"
    server.container.exec_run(["bash", "-euc", SERVER], detach=True)
    wait_until(lambda: server.sql(f"SELECT count(*) {asleep}") == "1", 60, "a session")
    before = server.dump()
    assert database.job("--servers-timeout", "1") == 3
    captured = capsys.readouterr()
    waits = "schema-job: waiting for the end of servers' sessions: 1 of 127.0.0.1\n"
    assert captured.out == waits
    assert "refused: the database is in use by servers (1 of 127.0.0.1), and mlflow" in captured.err
    assert server.dump() == before
    ending = threading.Timer(1, server.sql, [f"SELECT pg_terminate_backend(pid) {asleep}"])
    ending.start()
    assert database.job("--servers-timeout", "60") == 0
    ending.join()
    first, last = capsys.readouterr().out.splitlines()
    assert f"{first}\n" == waits
    assert "upgraded" in last
    # Where the schema stays, they may.
    server.container.exec_run(["bash", "-euc", SERVER], detach=True)
    wait_until(lambda: server.sql(f"SELECT count(*) {asleep}") == "1", 60, "a session")
    assert database.job("--servers-timeout", "1") == 0
    assert "verified" in said(capsys)


def test_servers_of_the_job_s_own_address_are_seen(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """As behind a pool, or where the addresses of a cluster's pods are translated."""
    database.at(OLDER[3])
    user = connect(database, "")
    assert database.job("--servers-timeout", "0.1") == 3
    assert "refused: the database is in use by servers (1 of " in capsys.readouterr().err
    user.close()
    assert database.job() == 0


def test_the_time_that_is_told_is_that_of_the_migration(
    database: Database, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [0.0]
    monkeypatch.setattr(job, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def wait(*_: object) -> None:
        clock[0] += 50

    monkeypatch.setattr(sessions, "wait_until_none", wait)
    database.at(OLDER[3])
    assert database.job() == 0
    assert re.search(r"upgraded the schema at revision \w+ in 0\.0 s ", said(capsys))


@pytest.mark.filterwarnings("ignore:No path_separator found")
def test_the_tables_of_users_do_not_change_under_servers(
    database: Database,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(users, "PASSWORD_FILE", tmp_path / "password")
    users.PASSWORD_FILE.write_text("a password")
    server = connect(database, "")
    waiting = ["--users", "--servers-timeout", "0.1"]
    # Nobody uses tables that are not there yet, nor are those changed that are as they should be.
    assert [database.job(*waiting) for _ in range(2)] == [0, 0]
    version = f"{users.SCHEMA}.{users.VERSION_TABLE}"
    database.server.sql(f"UPDATE {version} SET version_num = '{first_revision_of_users()}'")
    before = database.server.dump()
    capsys.readouterr()
    assert database.job(*waiting) == 3
    assert "refused: the database is in use by servers (1 of " in capsys.readouterr().err
    assert database.server.dump() == before
    server.close()


def first_revision_of_users() -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.server.auth.db import utils

    scripts = ScriptDirectory.from_config(utils._get_alembic_config(""))
    return scripts.get_bases()[0]


def test_waits_a_bounded_time_for_the_database(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    database.uri = "postgresql+psycopg2://mlflow@127.0.0.1:1/mlflow"
    started = time.monotonic()
    assert database.job("--connect-timeout", "1") == 1
    assert 1 <= time.monotonic() - started < 5
    assert "failed: the database at 127.0.0.1:1 accepted no connection for 1 s" in said(capsys)


def test_a_wrong_password_fails_at_once_and_is_not_said(
    database: Database,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("*:*:*:*:not-the-password\n")
    wrong.chmod(0o600)
    monkeypatch.setenv("PGPASSFILE", str(wrong))
    assert database.job() == 1
    line = said(capsys)
    assert "turns us away" in line
    assert "not-the-password" not in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--database-uri", "postgresql://u@h/d"], "scheme is 'postgresql'"),
        (["--database-uri", "postgresql+psycopg2://u:hush@h/d"], "it carries a password"),
        (["--database-uri", "hush"], "not a database URI"),
        (["--lock-timeout", "0"], "0 is not between"),
        (["--lock-timeout", "soon"], "invalid _seconds value"),
    ],
)
def test_wrong_arguments(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as end:
        job.main([*arguments, "--artifacts-destination", "/a"])
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert message in error
    assert "hush" not in error


def start_job(sandbox: Sandbox, image: str, **options: object) -> Container:
    uri = "postgresql+psycopg2://mlflow@postgres:5432/mlflow"
    command = ["schema-job", "--database-uri", uri, "--artifacts-destination", DESTINATION]
    return sandbox.run(image, command, **options)


def test_jobs_that_start_together_follow_one_another(
    sandbox: Sandbox, database: Database, mlflow_image: str
) -> None:
    jobs = [start_job(sandbox, mlflow_image) for _ in range(4)]
    results = [ends(container, 120) for container in jobs]
    assert [status for status, _ in results] == [0] * 4, results
    done = sorted(re.findall(r"(created|verified) the schema", "".join(out for _, out in results)))
    assert done == ["created", "verified", "verified", "verified"]
    assert PASSWORD not in str([container.attrs for container in jobs]) + str(results)


@pytest.mark.parametrize("revision", [None, OLDER[3]], ids=["creating", "upgrading"])
def test_a_killed_job_leaves_the_database_untouched(
    sandbox: Sandbox, database: Database, mlflow_image: str, revision: str | None
) -> None:
    if revision:
        database.at(revision)
    before = database.server.dump()
    # Held up in the middle, when tables of the first schema have been changed already.
    database.server.sql(
        "CREATE FUNCTION hold() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF to_regclass('endpoints') IS NOT NULL THEN PERFORM pg_sleep(600); END IF; END $$;"
        "CREATE EVENT TRIGGER hold ON ddl_command_end EXECUTE FUNCTION hold()"
    )
    sleeping = (
        "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep' "
        "AND application_name LIKE 'schema-job on %'"
    )
    killed = start_job(sandbox, mlflow_image)
    wait_until(lambda: database.server.sql(sleeping), 60, f"the job is midway {logs(killed)}")
    killed.kill()
    # The server's process would notice at its next word to the client.
    database.server.sql(
        f"SELECT pg_terminate_backend(pid) FROM ({sleeping});"
        "DROP EVENT TRIGGER hold; DROP FUNCTION hold"
    )
    wait_until(lambda: not database.server.sql(sleeping), 10, "the session ends")
    assert database.server.dump() == before
    assert database.job() == 0
    assert database.server.sql("SELECT version_num FROM alembic_version") == HEAD


def test_what_a_backup_s_stack_encrypted_is_encrypted_by_the_own_keys(
    database: Database, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(encryption.WEBHOOK_KEY, raising=False)
    assert database.job() == 0
    former = Keys(webhook_key=Fernet.generate_key().decode(), gateway_passphrase="former")
    own = Keys(webhook_key=Fernet.generate_key().decode(), gateway_passphrase="own")
    secret = Fernet(former.webhook_key).encrypt(b"of a webhook").decode()
    dek = b"a key of 32 bytes for one secret"
    wrapped = crypto.wrap_dek(dek, crypto.KEKManager("former", 3).get_kek())
    database.server.sql(
        "SET ROLE mlflow;"
        "INSERT INTO webhooks (webhook_id, name, url, status, secret)"
        f" VALUES ('w', 'w', 'https://example.com', 'ACTIVE', '{secret}');"
        "INSERT INTO secrets (secret_id, secret_name, encrypted_value, wrapped_dek, kek_version,"
        " masked_value, created_at, last_updated_at)"
        f" VALUES ('s', 's', '', '\\x{wrapped.hex()}', 3, '', 1, 1);"
        "ALTER TABLE mlflow_bench.deployment ADD COLUMN former_keys text;"
        "UPDATE mlflow_bench.deployment"
        f" SET former_keys = '{sealed(former.model_dump_json().encode(), own)}'"
    )
    monkeypatch.setenv(crypto.CRYPTO_KEK_PASSPHRASE_ENV_VAR, own.gateway_passphrase)
    # A restore into yet another stack is no way to read the keys.
    monkeypatch.setenv(encryption.WEBHOOK_KEY, Fernet.generate_key().decode())
    before = database.server.dump()
    assert database.job() == 1
    assert "the keys of the backup are not encrypted by this deployment's" in capfd.readouterr().err
    assert database.server.dump() == before
    monkeypatch.setenv(encryption.WEBHOOK_KEY, own.webhook_key)
    for _ in range(2):  # again, there is nothing to do
        assert database.job() == 0
        token = database.server.sql("SELECT secret FROM webhooks")
        assert Fernet(own.webhook_key).decrypt(token) == b"of a webhook"
        stored, version = database.server.sql(
            "SELECT encode(wrapped_dek, 'hex'), kek_version FROM secrets"
        ).split("|")
        key = crypto.KEKManager("own", int(version)).get_kek()
        assert (crypto.unwrap_dek(bytes.fromhex(stored), key), version) == (dek, "1")
        assert "former_keys" not in database.server.dump()
        printed = capfd.readouterr()
        assert "warning" not in printed.out + printed.err


def test_workspaces_that_are_used_are_not_hidden(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert database.job() == 0
    said(capsys)
    database.server.sql(
        "INSERT INTO workspaces (name) VALUES ('team-a');"
        "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage,"
        " workspace) VALUES (7, 'theirs', 'mlflow-artifacts:/workspaces/team-a/7', 'active',"
        " 'team-a')"
    )
    assert database.job() == 3
    line = said(capsys)
    assert "rows in the workspaces team-a (1 in experiments)" in line
    assert line.endswith("what is in them (docs/access.md)")
    assert database.job("--workspaces") == 0
    said(capsys)
    assert has_workspaces(database.server.sql)
    # One without anything in it is nothing to hide.
    database.server.sql("DELETE FROM experiments WHERE experiment_id = 7")
    assert not has_workspaces(database.server.sql)
    assert database.job() == 0
    said(capsys)
    # A backup says of each thing that the job would refuse that it is there.
    database.server.sql(
        "INSERT INTO webhooks (webhook_id, name, url, status, workspace)"
        " VALUES ('w', 'w', 'https://example.com', 'ACTIVE', 'team-a')"
    )
    assert database.job() == 3
    assert "(1 in webhooks)" in said(capsys)
    assert has_workspaces(database.server.sql)


def test_a_guardrail_s_settings_follow_its_endpoint_out_of_a_workspace(
    database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    assert database.job("--workspaces") == 0
    database.server.sql(
        "INSERT INTO endpoints (endpoint_id, name, created_at, last_updated_at, workspace)"
        " VALUES ('e', 'e', 1, 1, 'team-a');"
        "SET session_replication_role = replica;"  # without all that a guardrail needs
        "INSERT INTO guardrail_configs (endpoint_id, guardrail_id, created_at, workspace)"
        " VALUES ('e', 'g', 1, 'team-a')"
    )
    said(capsys)
    assert database.job() == 3
    assert "(1 in endpoints, 1 in guardrail_configs)" in said(capsys)
    # As MLflow's `delete_workspace` does it, by SET_DEFAULT.
    database.server.sql("UPDATE endpoints SET workspace = 'default'")
    assert database.job() == 0
    assert database.server.sql("SELECT workspace FROM guardrail_configs") == "default"
