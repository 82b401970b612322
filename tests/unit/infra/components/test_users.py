"""Servers with users: where the users are, and that nothing of it is secret."""

from configparser import ConfigParser
from dataclasses import asdict, replace
from pathlib import Path

from sqlalchemy import make_url

from infra.components.capacity import POOL, capacity
from infra.components.oidc import SETTINGS_FILE as OIDC_SETTINGS
from infra.components.oidc import SignOn
from infra.components.secret_files import OIDC_CA, OIDC_SECRET_FILE
from infra.components.users import ADMINISTRATOR, SETTINGS_FILE, DefaultPermission, Users
from infra.images.mlflow.schema_job import users as job
from infra.images.mlflow.stores.mlflow_bench_stores import oidc
from infra.images.mlflow.stores.mlflow_bench_stores.oidc_provider import Settings
from tests.unit.infra.components.test_server import SERVER

WITH_USERS = replace(SERVER, users=Users(DefaultPermission.NONE))


def settings(permission: DefaultPermission = DefaultPermission.NONE) -> dict[str, str]:
    server = replace(SERVER, users=Users(permission))
    parser = ConfigParser()
    parser.read_string(server.files()[str(SETTINGS_FILE)])
    return dict(parser["mlflow"])


def test_the_users_are_in_the_stack_s_database_in_the_schema_of_the_job() -> None:
    address, store = make_url(settings()["database_uri"]), make_url(SERVER.database.uri)
    assert address.query["options"] == f"-csearch_path={job.SCHEMA}"
    assert address.difference_update_query(["options"]) == store


def test_the_job_makes_the_administrator_that_a_stack_names() -> None:
    assert settings()["admin_username"] == job.ADMINISTRATOR
    assert "--users" in WITH_USERS.schema_job_command()
    assert "--users" not in SERVER.schema_job_command()


def test_permissions_are_said_in_mlflow_s_words() -> None:
    said = {each: settings(each)["default_permission"] for each in DefaultPermission}
    assert said == {"none": "NO_PERMISSIONS", "read": "READ", "edit": "EDIT"}


def test_servers_find_the_settings_and_refuse_what_has_no_rule() -> None:
    added = WITH_USERS.environment().items() - SERVER.environment().items()
    assert dict(added) == {
        "MLFLOW_AUTH_CONFIG_PATH": str(SETTINGS_FILE),
        "MLFLOW_BASIC_AUTH_FAIL_CLOSED": "true",
        "MLFLOW_SERVER_ENABLE_GRAPHQL_AUTH": "true",
    }


def test_workspaces_are_known_to_all_who_read_the_database() -> None:
    apart = replace(SERVER, workspaces=True)
    added = {"MLFLOW_ENABLE_WORKSPACES": "true"}
    assert dict(apart.environment().items() - SERVER.environment().items()) == added
    jobs = apart.trace_jobs_environment().items() - SERVER.trace_jobs_environment().items()
    assert dict(jobs) == added
    assert "--workspaces" in apart.schema_job_command()
    assert "--workspaces" not in SERVER.schema_job_command()
    assert apart.files() == SERVER.files()


def test_workspaces_have_a_pool_of_their_own_in_each_worker() -> None:
    few = capacity(replicas=2, workers=3, jobs=False, users=True)
    more = capacity(replicas=2, workers=3, jobs=False, users=True, workspaces=True)
    assert more.max_connections - few.max_connections == 2 * 3 * POOL


def test_the_users_table_has_a_pool_of_its_own_in_each_worker() -> None:
    few = capacity(replicas=2, workers=3, jobs=False)
    more = capacity(replicas=2, workers=3, jobs=False, users=True)
    assert more.max_connections - few.max_connections == 2 * 3 * POOL


def test_the_servers_read_what_a_stack_file_says_of_its_provider(tmp_path: Path) -> None:
    sign_on = SignOn(
        issuer="https://login.example.com/realms/ml",
        client_id="mlflow",
        audience="api://mlflow",
        username_claim="email",
        groups_claim="groups",
        admin_groups=("ops",),
        allowed_groups=(),
        session_seconds=3600,
        has_ca=True,
        tls=True,
    )
    server = replace(SERVER, users=Users(DefaultPermission.NONE, sign_on))
    assert server.files().keys() - WITH_USERS.files().keys() == {str(OIDC_SETTINGS)}
    (tmp_path / "oidc.json").write_text(server.files()[str(OIDC_SETTINGS)])
    known = Settings.read(tmp_path / "oidc.json")
    assert known.ca_file == f"/run/secrets/{OIDC_CA}"
    fields = asdict(sign_on)
    del fields["has_ca"]
    assert asdict(known) == fields | {"ca_file": known.ca_file}
    added = server.environment().items() - WITH_USERS.environment().items()
    assert dict(added) == {oidc.SETTINGS: str(OIDC_SETTINGS)}
    assert str(oidc.CLIENT_SECRET_FILE) == f"/run/secrets/{OIDC_SECRET_FILE}"
    assert oidc.ADMINISTRATOR == ADMINISTRATOR
