"""A server whose users an identity provider knows: what MLflow makes of them."""

import json
import secrets
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import pytest
import requests

from infra.components.secret_files import OIDC_SECRET_FILE
from tests.dex.server import bridge_address
from tests.images.sandbox import Postgres, Sandbox, execute, logs, wait_until
from tests.images.users import ADMIN, ADMIN_PASSWORD, ServersWithUsers, sign_on
from tests.otlp import export
from tests.unit.infra.images.identity_provider import (
    CLIENT_SECRET,
    OTHER_RSA,
    IdentityProvider,
    identity_provider,
)

pytestmark = pytest.mark.plugins

SECONDS = 60
API = "/api/2.0/mlflow"
SEARCH = f"{API}/experiments/search?max_results=1"


@pytest.fixture(scope="module")
def provider(client: docker.DockerClient) -> Iterator[IdentityProvider]:
    with identity_provider(bridge_address(client)) as provider:
        yield provider


@pytest.fixture(scope="module")
def postgres(sandbox: Sandbox, postgres_image: str) -> Postgres:
    postgres = Postgres(sandbox, postgres_image, "-c", "max_connections=200", hostname="sign-on")
    wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
    return postgres


@pytest.fixture(scope="module")
def servers(
    sandbox: Sandbox,
    postgres: Postgres,
    provider: IdentityProvider,
    mlflow_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServersWithUsers]:
    with ServersWithUsers(
        sandbox,
        mlflow_image,
        "sign-on",
        tmp_path_factory.mktemp("sign-on"),
        secrets={OIDC_SECRET_FILE: CLIENT_SECRET},
        sign_on=sign_on(provider.issuer, admin_groups=("ops",)),
    ) as servers:
        yield servers


@pytest.fixture
def url(servers: ServersWithUsers) -> str:
    return servers.url()


class Bearer:
    """A client with a token of somebody new."""

    def __init__(self, url: str, provider: IdentityProvider, **claims: Any) -> None:
        self.url = url
        self.name = f"{secrets.token_hex(4)}@example.com"
        self.token = provider.token(email=self.name, **claims)

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return requests.request(
            method, self.url + path, headers=headers, timeout=SECONDS, **options
        )

    def create(self, what: str, **body: Any) -> dict[str, Any]:
        answer = self.ask("POST", f"{API}/{what}/create", json=body)
        assert answer.ok, answer.text
        made: dict[str, Any] = answer.json()
        return made


def test_somebody_new_is_a_user_at_the_first_request_whatever_comes_at_once(
    provider: IdentityProvider, postgres: Postgres, url: str
) -> None:
    new = Bearer(url, provider)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: new.ask("GET", SEARCH).status_code, range(8)))
    assert answers == [200] * 8
    row = "SELECT is_admin, left(password_hash, 7) FROM mlflow_auth.users"
    assert postgres.sql(f"{row} WHERE username = '{new.name}'") == "f|scrypt:"
    known = new.ask("GET", f"{API}/users/current").json()
    assert (known["user"]["username"], known["is_basic_auth"]) == (new.name, False)


def test_people_see_of_each_other_what_they_are_given(provider: IdentityProvider, url: str) -> None:
    owner, other = Bearer(url, provider), Bearer(url, provider)
    experiment = owner.create("experiments", name=f"of {owner.name}")["experiment_id"]
    run = owner.create("runs", experiment_id=experiment)["run"]["info"]["run_id"]
    artifact = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/note.txt"
    assert owner.ask("PUT", artifact, data=b"hello").status_code == 200
    asked = [artifact, f"{API}/runs/get?run_id={run}"]
    assert [other.ask("GET", path).status_code for path in asked] == [403, 403]
    assert [owner.ask("GET", path).status_code for path in asked] == [200, 200]
    grant = {"resource_type": "experiment", "resource_id": experiment, "permission": "READ"}
    given = owner.ask(
        "POST",
        "/api/3.0/mlflow/users/permissions/grant",
        json={"username": other.name, **grant},
    )
    assert given.ok, given.text
    assert [other.ask("GET", path).status_code for path in asked] == [200, 200]
    assert other.ask("PUT", artifact, data=b"mine").status_code == 403


def test_an_administrator_by_a_group_is_one_on_every_kind_of_route_and_in_no_table(
    provider: IdentityProvider, postgres: Postgres, url: str
) -> None:
    owner, chief = Bearer(url, provider), Bearer(url, provider, groups=["ops"])
    experiment = owner.create("experiments", name=f"of {owner.name}")["experiment_id"]
    run = owner.create("runs", experiment_id=experiment)["run"]["info"]["run_id"]
    artifact = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/note.txt"
    assert owner.ask("PUT", artifact, data=b"hello").status_code == 200
    question = (
        f'{{ mlflowGetExperiment(input: {{experimentId: "{experiment}"}}) '
        "{ experiment { name } } }"
    )
    asked: list[tuple[str, str, Any]] = [
        ("GET", artifact, None),
        ("GET", f"{API}/runs/get?run_id={run}", None),
        ("GET", f"{API}/users/list", None),
        ("GET", f"{API}/users/get?username=admin", None),
        ("GET", "/api/3.0/mlflow/roles/list", None),
        ("POST", f"{API}/users/create", {"username": f"by-{chief.name}", "password": "x" * 20}),
        ("POST", "/graphql", {"query": question}),
    ]
    found = [chief.ask(method, path, json=body) for method, path, body in asked]
    assert [answer.status_code for answer in found] == [200] * len(asked)
    assert f"of {owner.name}" in found[-1].text
    current = chief.ask("GET", f"{API}/users/current").json()["user"]
    assert (current["username"], current["is_admin"]) == (chief.name, True)
    is_admin = f"SELECT is_admin FROM mlflow_auth.users WHERE username = '{chief.name}'"
    assert postgres.sql(is_admin) == "f"
    # What would outlive the group is refused, or counts for nothing.
    kept: list[tuple[str, str, dict[str, Any], int]] = [
        ("PATCH", "update-password", {"username": "admin", "password": "x" * 20}, 403),
        ("PATCH", "update-admin", {"username": "admin", "is_admin": False}, 403),
        ("DELETE", "delete", {"username": "admin"}, 403),
        ("PATCH", "update-admin", {"username": chief.name, "is_admin": True}, 200),
    ]
    for method, name, body, status in kept:
        assert chief.ask(method, f"{API}/users/{name}", json=body).status_code == status, name
    # The same person, whose group was taken away.
    chief.token = provider.token(email=chief.name)
    assert chief.ask("GET", f"{API}/users/get?username=admin").status_code == 403
    assert chief.ask("GET", artifact).status_code == 403


def test_spans_come_in_with_a_token(provider: IdentityProvider, url: str) -> None:
    owner = Bearer(url, provider)
    experiment = owner.create("experiments", name=f"of {owner.name}")["experiment_id"]
    span = (b"\1" * 8, b"", 0)
    with pytest.raises(requests.HTTPError, match="401"):
        export(url, experiment, b"\2" * 16, span)
    export(url, experiment, b"\2" * 16, span, token=owner.token)
    found = owner.ask("GET", f"/api/3.0/mlflow/traces/tr-{'02' * 16}")
    assert found.status_code == 200, found.text


def test_the_administrator_s_password_holds_and_nobody_else_s(
    provider: IdentityProvider, url: str
) -> None:
    name = f"with-a-password-{secrets.token_hex(4)}"
    user = {"username": name, "password": "of-one-of-the-users"}
    made = requests.post(f"{url}{API}/users/create", json=user, auth=ADMIN, timeout=SECONDS)
    assert made.status_code == 200
    asked = requests.get(url + SEARCH, auth=(name, user["password"]), timeout=SECONDS)
    assert asked.status_code == 401
    wrong = requests.get(url + SEARCH, auth=("admin", "wrong"), timeout=SECONDS)
    assert wrong.status_code == 401


def test_a_browser_s_session_is_its_user_s(provider: IdentityProvider, url: str) -> None:
    with requests.Session() as browser:
        page = {"Accept": "text/html"}
        opened = browser.get(f"{url}/", headers=page, allow_redirects=False, timeout=SECONDS)
        begun = browser.get(
            url + opened.headers["Location"], allow_redirects=False, timeout=SECONDS
        )
        asked = dict(
            pair.split("=", 1) for pair in begun.headers["Location"].partition("?")[2].split("&")
        )
        provider.codes["code"] = {"nonce": asked["nonce"], "email": "by-browser@example.com"}
        back = f"{url}/oidc/callback?code=code&state={asked['state']}"
        shown = browser.get(back, timeout=SECONDS)
        assert (shown.status_code, shown.url) == (200, f"{url}/")
        assert "<title>MLflow</title>" in shown.text
        current = f"{url}/ajax-api/2.0/mlflow/users/current"
        known = browser.get(current, timeout=SECONDS).json()["user"]
        assert known["username"] == "by-browser@example.com"
        create = f"{url}/ajax-api/2.0/mlflow/experiments/create"
        for site, status in (("same-origin", 200), ("cross-site", 403)):
            made = browser.post(
                create,
                json={"name": f"by a browser, {site}"},
                headers={"Sec-Fetch-Site": site},
                timeout=SECONDS,
            )
            assert made.status_code == status
        assert requests.get(current, timeout=SECONDS).status_code == 401


def test_no_token_and_no_secret_is_to_be_seen(
    servers: ServersWithUsers, provider: IdentityProvider, url: str
) -> None:
    tokens = [Bearer(url, provider).token, provider.token(OTHER_RSA), provider.token(exp=1)]
    answers = [
        requests.get(url + SEARCH, headers={"Authorization": f"Bearer {token}"}, timeout=SECONDS)
        for token in tokens
    ]
    assert [answer.status_code for answer in answers] == [200, 401, 401]
    for container in servers.containers:
        assert "/oidc/callback" in logs(container)
        assert "/oidc/callback?" not in logs(container)
        container.reload()
        environment = execute(container, "sh", "-c", "cat /proc/[0-9]*/environ").stdout
        seen = environment + json.dumps(container.attrs) + str(container.top()) + logs(container)
        signatures = [token.rpartition(".")[2] for token in tokens]
        for secret in (CLIENT_SECRET, ADMIN_PASSWORD, *signatures):
            assert secret not in seen
        assert not any(secret in answer.text for answer in answers for secret in signatures)


def test_while_the_provider_is_away_whoever_has_a_token_goes_on(
    provider: IdentityProvider, url: str
) -> None:
    known = Bearer(url, provider)
    assert known.ask("GET", SEARCH).status_code == 200
    provider.is_down = True
    try:
        assert known.ask("GET", SEARCH).status_code == 200
        assert Bearer(url, provider).ask("GET", SEARCH).status_code == 200
    finally:
        provider.is_down = False
