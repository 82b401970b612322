"""Servers with users: where the users are, and that nothing of it is secret."""

from configparser import ConfigParser
from dataclasses import replace

from sqlalchemy import make_url

from infra.components.capacity import POOL, capacity
from infra.components.users import SETTINGS_FILE, DefaultPermission, Users
from infra.images.mlflow.schema_job import users as job
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


def test_the_users_table_has_a_pool_of_its_own_in_each_worker() -> None:
    few = capacity(replicas=2, workers=3, jobs=False)
    more = capacity(replicas=2, workers=3, jobs=False, users=True)
    assert more.max_connections - few.max_connections == 2 * 3 * POOL
