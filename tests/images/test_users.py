"""Two servers with MLflow's own users: who gets in, by which of them, and what it tells others."""

import http.client
import json
import random
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests

from infra.components.users import DefaultPermission
from tests.images import routes
from tests.images.sandbox import Postgres, Sandbox, execute, logs, wait_until
from tests.images.users import (
    ADMIN,
    ADMIN_PASSWORD,
    METRICS_TOKEN,
    SERVER_KEY,
    ServersWithUsers,
    is_ready,
)

pytestmark = pytest.mark.plugins

SECONDS = 60
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
USER_PASSWORD = "of-one-of-the-users"
WRONG = "of-nobody-whatsoever"


@pytest.fixture(scope="module")
def postgres(sandbox: Sandbox, postgres_image: str) -> Postgres:
    postgres = Postgres(sandbox, postgres_image, "-c", "max_connections=200", hostname="users")
    wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
    return postgres


@pytest.fixture(scope="module")
def servers(
    sandbox: Sandbox,
    postgres: Postgres,
    mlflow_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServersWithUsers]:
    """Two replicas of one stack."""
    folder = tmp_path_factory.mktemp("users")
    with ServersWithUsers(sandbox, mlflow_image, "users", folder, replicas=2) as servers:
        yield servers


@pytest.fixture
def urls(servers: ServersWithUsers) -> tuple[str, str]:
    return servers.url(0), servers.url(1)


def status(url: str, user: tuple[str, str] | None = None, **options: Any) -> int:
    return requests.get(url + SEARCH, auth=user, timeout=SECONDS, **options).status_code


def test_prometheus_is_told_the_figures_by_its_token_and_no_user_is(urls: tuple[str, str]) -> None:
    def asked(url: str, token: str, path: str = "/metrics", **options: Any) -> requests.Response:
        shown = {"Authorization": f"Bearer {token}"} if token else {}
        return requests.get(url + path, headers=shown, timeout=SECONDS, **options)

    for url in urls:
        assert status(url, ADMIN) == 200
        figures = asked(url, METRICS_TOKEN)
        assert figures.status_code == 200
        assert "mlflow_http_requests_total" in figures.text
        assert asked(url, "").status_code == asked(url, "another").status_code == 401
        assert "mlflow_http" not in asked(url, "", auth=ADMIN).text
        assert asked(url, METRICS_TOKEN, SEARCH).status_code == 401


class Client:
    """The API of users, as the administrator."""

    def __init__(self, url: str) -> None:
        self._api = f"{url}/api/2.0/mlflow/users"

    def ask(self, method: str, path: str, **body: Any) -> None:
        answer = requests.request(
            method, f"{self._api}/{path}", json=body, auth=ADMIN, timeout=SECONDS
        )
        assert answer.ok, answer.text

    def create_user(self, name: str) -> None:
        self.ask("POST", "create", username=name, password=USER_PASSWORD)


@pytest.fixture
def users(urls: tuple[str, str]) -> Client:
    """At the first replica."""
    return Client(urls[0])


@pytest.fixture
def user(users: Client) -> tuple[str, str]:
    """A new user with no permission."""
    name = f"user-{secrets.token_hex(4)}"
    users.create_user(name)
    return name, USER_PASSWORD


def test_users_are_the_same_in_both_replicas(
    users: Client, user: tuple[str, str], urls: tuple[str, str]
) -> None:
    assert [status(url, user) for url in urls] == [200, 200]
    users.ask("PATCH", "update-password", username=user[0], password="another-of-the-users")
    assert [status(url, user) for url in urls] == [401, 401]
    assert [status(url, (user[0], "another-of-the-users")) for url in urls] == [200, 200]


def test_who_is_removed_is_out_at_the_next_request(
    users: Client, user: tuple[str, str], urls: tuple[str, str]
) -> None:
    assert [status(url, user) for url in urls] == [200, 200]
    users.ask("DELETE", "delete", username=user[0])
    assert [status(url, user) for url in urls] == [401, 401]


def test_an_administrator_is_one_in_both_and_no_more_at_the_next_request(
    users: Client, user: tuple[str, str], urls: tuple[str, str]
) -> None:
    def lists() -> list[int]:
        path = "/api/2.0/mlflow/users/get?username=admin"
        return [requests.get(url + path, auth=user, timeout=SECONDS).status_code for url in urls]

    assert lists() == [403, 403]
    users.ask("PATCH", "update-admin", username=user[0], is_admin=True)
    assert lists() == [200, 200]
    users.ask("PATCH", "update-admin", username=user[0], is_admin=False)
    assert lists() == [403, 403]


def test_users_are_made_and_removed_by_both_replicas_at_once(urls: tuple[str, str]) -> None:
    def life(number: int) -> list[int]:
        here, there = random.sample(urls, 2)
        api = "/api/2.0/mlflow/users/"
        name = f"at-once-{number}"
        user = {"username": name, "password": USER_PASSWORD}
        options: dict[str, Any] = {"auth": ADMIN, "timeout": SECONDS}
        return [
            requests.post(f"{here}{api}create", json=user, **options).status_code,
            requests.get(f"{there}{api}get", params={"username": name}, **options).status_code,
            status(there, (name, USER_PASSWORD)),
            requests.delete(f"{there}{api}delete", json=user, **options).status_code,
            status(here, (name, USER_PASSWORD)),
        ]

    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(life, range(12))) == [[200, 200, 200, 200, 401]] * 12


@pytest.mark.parametrize("name", ["admin", "nobody-of-that-name"])
def test_a_wrong_password_and_an_unknown_user_get_one_answer(
    urls: tuple[str, str], name: str
) -> None:
    answer = requests.get(urls[0] + SEARCH, auth=(name, WRONG), timeout=SECONDS)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="mlflow"'
    assert answer.json() == {
        "error_code": "UNAUTHENTICATED",
        "message": "You are not authenticated: give the name and the password of a user of this "
        "server.",
    }


def test_a_name_that_nobody_has_takes_as_long_as_a_wrong_password(urls: tuple[str, str]) -> None:
    def best(name: str) -> float:
        took = []
        for _ in range(6):
            began = time.perf_counter()
            assert status(urls[0], (name, WRONG)) == 401
            took.append(time.perf_counter() - began)
        return min(took)

    assert 1 / 3 < best("admin") / best("nobody-of-that-name") < 3


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-User": "admin", "X-Remote-User": "admin", "Remote-User": "admin"},
        {"X-Forwarded-For": "127.0.0.1", "X-Forwarded-Host": "localhost", "Forwarded": "for=::1"},
        {"X-MLflow-Authorization": requests.auth._basic_auth_str(*ADMIN)},
        {"Proxy-Authorization": requests.auth._basic_auth_str(*ADMIN)},
        {"Authorization": "Bearer " + SERVER_KEY},
        {"Authorization": "Bearer "},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_forged_headers_let_nobody_in(urls: tuple[str, str], headers: dict[str, str]) -> None:
    assert status(urls[0], headers=headers) == 401


@pytest.mark.parametrize(
    ("origin", "answer", "allowed"),
    [
        ("http://localhost:3000", 200, "http://localhost:3000"),
        ("https://elsewhere.example", 400, None),
    ],
)
def test_a_browser_may_ask_what_a_page_of_an_allowed_origin_may_send(
    urls: tuple[str, str], origin: str, answer: int, allowed: str | None
) -> None:
    headers = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    url = f"{urls[0]}/api/2.0/mlflow/runs/create"
    asked = requests.options(url, headers=headers, timeout=SECONDS)
    assert asked.status_code == answer
    assert asked.headers.get("Access-Control-Allow-Origin") == allowed
    assert requests.options(url, timeout=SECONDS).status_code == 401
    assert requests.post(url, json={}, headers=headers, timeout=SECONDS).status_code == 401


def test_wrong_passwords_all_the_time_keep_nobody_else_waiting(
    servers: ServersWithUsers, urls: tuple[str, str], user: tuple[str, str]
) -> None:
    assert status(urls[0], user) == 200
    ends = time.monotonic() + 4

    def guess(_: int) -> int:
        answers = 0
        while time.monotonic() < ends:
            assert status(urls[0], ("admin", secrets.token_hex())) in (401, 429)
            answers += 1
        return answers

    with ThreadPoolExecutor(10) as threads:
        guesses = [threads.submit(guess, number) for number in range(10)]
        answered = 0
        while time.monotonic() < ends:
            assert status(urls[0], user) == 200
            answered += 1
        guessed = sum(one.result() for one in guesses)
    # Who is in waits for no comparison, of which there is one at a time.
    assert answered >= 8
    assert guessed >= 1
    assert is_ready(servers.containers[0])


def test_a_client_of_mlflow_s_logs_with_a_password_and_not_without(
    urls: tuple[str, str], users: Client, user: tuple[str, str]
) -> None:
    api = f"{urls[0]}/api/2.0/mlflow/"
    made = requests.post(
        f"{api}experiments/create", json={"name": f"of-{user[0]}"}, auth=user, timeout=SECONDS
    ).json()
    body = {"experiment_id": made["experiment_id"]}
    run = requests.post(f"{api}runs/create", json=body, auth=user, timeout=SECONDS).json()
    path = f"{made['experiment_id']}/{run['run']['info']['run_id']}/artifacts/note.txt"
    artifact = f"{urls[1]}/api/2.0/mlflow-artifacts/artifacts/{path}"
    options: dict[str, Any] = {"timeout": SECONDS}
    assert requests.put(artifact, data=b"hello", auth=user, **options).status_code == 200
    assert requests.get(artifact, auth=user, **options).content == b"hello"
    assert requests.head(artifact, auth=user, **options).headers["Content-Length"] == "5"
    users.create_user(f"other-of-{user[0]}")
    others: list[tuple[str, str] | None] = [None, (f"other-of-{user[0]}", USER_PASSWORD)]
    asks: list[Callable[..., requests.Response]] = [requests.get, requests.head]
    for other, refused in zip(others, (401, 403), strict=True):
        for ask in asks:
            assert ask(artifact, auth=other, **options).status_code == refused
        put = requests.put(artifact, data=b"mine", auth=other, **options)
        assert put.status_code == refused
    assert requests.get(artifact, auth=ADMIN, **options).content == b"hello"


def test_servers_change_no_table_and_the_job_gives_the_administrator_the_password_again(
    servers: ServersWithUsers, postgres: Postgres, urls: tuple[str, str]
) -> None:
    where = "SET search_path TO mlflow_auth;"
    postgres.sql(f"{where} UPDATE users SET is_admin = false, password_hash = 'x' WHERE id = 1")
    assert status(urls[1], ADMIN) == 401
    code, output = servers.schema_job()
    assert (code, len(output.splitlines())) == (0, 1)
    assert status(urls[1], ADMIN) == 200
    assert postgres.sql(f"{where} SELECT is_admin FROM users WHERE id = 1") == "t"
    tables = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tablename = 'users'"
    assert postgres.sql(tables) == "0"


def test_the_job_needs_no_right_to_create_what_is_there(
    servers: ServersWithUsers, postgres: Postgres
) -> None:
    postgres.sql("ALTER DATABASE mlflow OWNER TO postgres; GRANT CREATE ON SCHEMA public TO mlflow")
    try:
        code, output = servers.schema_job()
    finally:
        postgres.sql("ALTER DATABASE mlflow OWNER TO mlflow")
    assert code == 0, output


def test_a_path_that_ends_like_an_open_one_asks_for_permission(
    urls: tuple[str, str], user: tuple[str, str]
) -> None:
    end = "/mlflow/server-info"
    asked = [
        ("POST", f"/gateway/proxy/of-others/chat/completions%3Fx={end}"),
        ("POST", f"/api/2.0/mlflow-artifacts/mpu/create/0{end}"),
        ("DELETE", f"/api/2.0/mlflow-artifacts/artifacts/0{end}"),
        ("GET", f"/api/2.0/mlflow-artifacts/presigned/0{end}"),
    ]
    for method, path in asked:
        answer = requests.request(method, urls[0] + path, json={}, auth=user, timeout=SECONDS)
        assert (answer.status_code, path) == (403, path)
    known = requests.get(f"{urls[0]}/api/3.0{end}", auth=user, timeout=SECONDS)
    assert known.status_code == 200


def test_no_spelling_of_a_path_opens_what_is_denied(
    users: Client, urls: tuple[str, str], user: tuple[str, str]
) -> None:
    api, name = f"{urls[0]}/api/2.0/mlflow", user[0]

    def post(path: str, **body: Any) -> Any:
        answer = requests.post(path, json=body, auth=ADMIN, timeout=SECONDS)
        assert answer.ok, answer.text
        return answer.json()

    experiment = post(f"{api}/experiments/create", name=f"denied-to-{name}")["experiment_id"]
    run = post(f"{api}/runs/create", experiment_id=experiment)["run"]["info"]["run_id"]
    artifacts = "/api/2.0/mlflow-artifacts/artifacts"
    path = f"{run}/artifacts/note.txt"
    url = f"{urls[0]}{artifacts}/{experiment}/{path}"
    assert requests.put(url, data=b"secret", auth=ADMIN, timeout=SECONDS).ok
    for kind, key, permission in (("experiment", experiment, "EDIT"), ("run", "*", "DENY")):
        post(
            f"{urls[0]}/api/3.0/mlflow/users/permissions/grant",
            **{"username": name, "resource_type": kind, "resource_id": key},
            permission=permission,
        )
    # `requests` would send the same path for each.
    headers = {"Authorization": requests.auth._basic_auth_str(*user)}
    for spelling in (
        f"{artifacts}/{experiment}/{path}",
        f"{artifacts}/{experiment}/./{path}",
        f"{artifacts}/./{experiment}/{path}",
        f"{artifacts}/{experiment}//%2e/{path}",
        f"{artifacts}?path={experiment}/./{run}/artifacts",
    ):
        connection = http.client.HTTPConnection(urls[0].removeprefix("http://"), timeout=SECONDS)
        connection.request("GET", spelling, headers=headers)
        assert (connection.getresponse().status, spelling) == (403, spelling)
        connection.close()


def test_who_may_read_everything_reads_no_archived_spans(
    sandbox: Sandbox,
    postgres: Postgres,
    mlflow_image: str,
    user: tuple[str, str],
    tmp_path: Path,
) -> None:
    everything = DefaultPermission.READ
    servers = ServersWithUsers(
        sandbox, mlflow_image, "users", tmp_path, default_permission=everything
    )
    try:
        servers.wait()
        artifacts = f"{servers.url()}/api/2.0/mlflow-artifacts/artifacts"

        def read(path: str, who: tuple[str, str] = user) -> int:
            return requests.get(f"{artifacts}/{path}", auth=who, timeout=SECONDS).status_code

        kept = ("trace-archive/1/traces.pb", "workspaces/team-a/1/note.txt")
        for path in ("0/note.txt", *kept):
            assert requests.put(
                f"{artifacts}/{path}", data=b"secret", auth=ADMIN, timeout=SECONDS
            ).ok
            assert read(path, ADMIN) == 200
        assert read("0/note.txt") == 200
        for path in kept:
            folder = path.rpartition("/")[0]
            for spelling in (path, f"%2e/{path}", f"%252e/{path}", path.replace("/", "/%2e/", 1)):
                assert (read(spelling), spelling) == (400, spelling)
            for spelling in (folder, f"./{folder}", folder.partition("/")[0]):
                listed = requests.get(
                    artifacts, params={"path": spelling}, auth=user, timeout=SECONDS
                )
                assert (listed.status_code, spelling) == (400, spelling)
    finally:
        for container in servers.containers:
            container.remove(force=True)


def test_users_of_a_newer_mlflow_are_refused(servers: ServersWithUsers, postgres: Postgres) -> None:
    table = "mlflow_auth.alembic_version_auth"
    head = postgres.sql(f"SELECT version_num FROM {table}")
    postgres.sql(f"UPDATE {table} SET version_num = 'unheard-of'")
    try:
        code, output = servers.schema_job()
    finally:
        postgres.sql(f"UPDATE {table} SET version_num = '{head}'")
    assert (code, len(output.splitlines())) == (3, 1)
    assert "the tables of users are newer than this image" in output


def test_no_password_is_to_be_seen(
    servers: ServersWithUsers, urls: tuple[str, str], user: tuple[str, str]
) -> None:
    assert [status(url, user) for url in urls] == [200, 200]
    assert [status(url, (user[0], WRONG)) for url in urls] == [401, 401]
    for container in servers.containers:
        container.reload()
        environment = execute(container, "sh", "-c", "cat /proc/[0-9]*/environ").stdout
        seen = environment + json.dumps(container.attrs) + str(container.top()) + logs(container)
        for secret in (ADMIN_PASSWORD, SERVER_KEY, USER_PASSWORD, WRONG, "scrypt:"):
            assert secret not in seen
        token = execute(container, "cat", "/tmp/ready-token").stdout
        assert len(token) >= 40
        assert token not in seen


def test_the_check_of_readiness_opens_nothing_else(
    servers: ServersWithUsers, urls: tuple[str, str]
) -> None:
    token = execute(servers.containers[0], "cat", "/tmp/ready-token").stdout
    headers = {"Authorization": f"Bearer {token}"}
    paths = ["/api/2.0/mlflow/experiments/search", "/api/2.0/mlflow/users/list", "/"]
    for path in paths:
        assert requests.get(urls[0] + path, headers=headers, timeout=SECONDS).status_code == 401
    # Each container has its own.
    assert status(urls[1], headers=headers) == 401


def test_a_check_that_is_root_without_rights_has_its_token(servers: ServersWithUsers) -> None:
    """As where the container mounts NFS by FUSE."""
    command = ["test", "-r", "/tmp/ready-token"]
    assert servers.containers[0].exec_run(command, user="0:0").exit_code == 0


def test_every_route_answers_as_the_page_of_routes_says(
    servers: ServersWithUsers, urls: tuple[str, str]
) -> None:
    found = routes.try_all(servers)
    assert found.shown_to_others == []
    page = routes.render(found.table)
    differences = "\n".join(routes.differences(page, routes.DOCUMENT.read_text()))
    assert not differences, f"python -m tests.images.routes --write\n{differences}"
