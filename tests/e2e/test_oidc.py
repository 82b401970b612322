"""A stack with TLS whose people an identity provider knows: dex, and Chromium."""

import base64
import hashlib
import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from infra.outputs import Target
from tests.chromium import Browser, browsing
from tests.dex import server as identity
from tests.dex.server import CLIENT, CLIENT_SECRET, PASSWORD, Dex, address
from tests.e2e.stack import CLIENT as TRAINING
from tests.e2e.stack import Stack, end, new_stack
from workloads.verdict.result import DurabilityVerdict, Result

pytestmark = [pytest.mark.e2e, pytest.mark.thorough]

NAME = "e2e-oidc"
SECONDS = 120
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
LIST_USERS = "/api/2.0/mlflow/users/list"
OF_ADMINISTRATORS = "/api/2.0/mlflow/users/get?username=admin"
MANY = {"zones": 2, "artifacts": "s3", "tls": True}


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    stack = new_stack(NAME, tmp_path_factory.mktemp("oidc"))
    try:
        yield stack
    finally:
        end(stack, docker_client)


@pytest.fixture(scope="module")
def dex(
    stack: Stack,
    tmp_path_factory: pytest.TempPathFactory,
    docker_client: docker.DockerClient,
) -> Iterator[Dex]:
    host = identity.bridge_address(docker_client)
    origin = f"https://localhost:{stack.port}"
    with identity.running(tmp_path_factory.mktemp("dex"), host, origin) as dex:
        yield dex


def provider(dex: Dex, **changes: Any) -> dict[str, Any]:
    return {
        "issuer": dex.issuer,
        "client_id": CLIENT,
        "username_claim": "preferred_username",
        "admin_groups": "ops",
        "allowed_groups": "team",
        "ca": str(dex.files.ca),
    } | changes


@pytest.fixture(scope="module")
def deployed(stack: Stack, dex: Dex) -> dict[str, Any]:
    stack.configure(**MANY, auth="oidc", oidc=provider(dex))
    stack.set_secret("oidc.client_secret", CLIENT_SECRET)
    stack.up()
    return stack.outputs()


def get(deployed: dict[str, Any], path: str, token: str | None = None, **options: Any) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    answer = requests.get(
        deployed["url"] + path,
        headers=headers,
        verify=deployed["ca_file"],
        timeout=SECONDS,
        **options,
    )
    return answer.status_code


def test_a_provider_that_is_not_as_described_is_refused_at_preview(
    stack: Stack, dex: Dex, docker_client: docker.DockerClient
) -> None:
    for changes, secret, said in (
        ({"issuer": f"{dex.issuer}/"}, CLIENT_SECRET, f"calls itself '{dex.issuer}'"),
        ({"ca": None}, CLIENT_SECRET, "its certificate is not trusted"),
        ({}, "another-secret", "does not take it for the client 'mlflow' (invalid_client)"),
    ):
        given = {key: value for key, value in provider(dex, **changes).items() if value}
        stack.configure(**MANY, auth="oidc", oidc=given)
        stack.set_secret("oidc.client_secret", secret)
        shown = stack.run("preview", ok=False)
        assert said in shown
        assert secret not in shown
    assert stack.left(docker_client) == []


def test_people_and_jobs_get_in_by_tokens_as_their_groups_say(
    deployed: dict[str, Any], dex: Dex
) -> None:
    asked = {
        "nobody": None,
        "of the team": dex.token("ann"),
        "of the operators": dex.token("olga"),
        "of others": dex.token("otto"),
        "a job": dex.job_token(),
        "nonsense": "a.b.c",
    }
    found = {
        who: (get(deployed, SEARCH, token), get(deployed, OF_ADMINISTRATORS, token))
        for who, token in asked.items()
    }
    assert found == {
        "nobody": (401, 401),
        "of the team": (200, 403),
        "of the operators": (200, 200),
        "of others": (403, 403),
        "a job": (200, 403),
        "nonsense": (401, 401),
    }
    admin = ("admin", deployed["admin_password"])
    listed = requests.get(
        deployed["url"] + LIST_USERS, auth=admin, verify=deployed["ca_file"], timeout=SECONDS
    ).json()["users"]
    known = {user["username"]: user["is_admin"] for user in listed}
    assert known == {"admin": True, "ann": False, "olga": False, identity.JOB: False}


def test_a_job_trains_with_mlflow_s_client_and_the_team_reads_it(
    deployed: dict[str, Any], dex: Dex
) -> None:
    environment = os.environ | {
        "MLFLOW_TRACKING_TOKEN": dex.job_token(),
        "MLFLOW_TRACKING_SERVER_CERT_PATH": deployed["ca_file"],
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", TRAINING, deployed["url"]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    run = done.stdout.split()[-3]
    path = f"/api/2.0/mlflow/runs/get?run_id={run}"
    assert get(deployed, path, dex.job_token()) == 200
    assert get(deployed, path, dex.token("olga")) == 200
    assert get(deployed, path, dex.token("ann")) == 403


def test_a_workload_loses_nothing(
    stack: Stack, deployed: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("results") / "run"
    stack.workload(folder, "--scenario", "metrics", "--users", "4", "--duration", "8")
    result = Result.model_validate_json((folder / "result.json").read_text())
    assert result.durability.verdict is DurabilityVerdict.PASS
    assert result.errors == {}


def pin(certificate: str) -> str:
    """What has Chromium trust whoever has a certificate's key; it is in PEM form."""
    key = (
        x509.load_pem_x509_certificate(certificate.encode())
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    return base64.b64encode(hashlib.sha256(key).digest()).decode()


@pytest.fixture
def browser(deployed: dict[str, Any], dex: Dex, tmp_path: Path) -> Iterator[Browser]:
    place = ("localhost", int(deployed["url"].rpartition(":")[2]))
    pins = f"{pin(dex.files.cert.read_text())},{pin(ssl.get_server_certificate(place))}"
    with browsing(tmp_path, f"--ignore-certificate-errors-spki-list={pins}") as browser:
        yield browser


def sign_in(browser: Browser, url: str, name: str) -> None:
    """Open the stack, and give a name and a password at the provider's page."""
    browser.open(url)
    browser.until("document.querySelector('#password') !== null")
    browser.run(f"document.querySelector('#login').value = {json.dumps(address(name))}")
    browser.run(f"document.querySelector('#password').value = {json.dumps(PASSWORD)}")
    browser.run("document.querySelector('#submit-login').click()")


def fetch(browser: Browser, path: str, **options: Any) -> Any:
    """What a script of the page is answered."""
    return browser.run(
        f"fetch({json.dumps(path)}, {json.dumps(options)})"
        ".then(async answer => ({status: answer.status, body: await answer.text()}))"
    )


def test_a_person_signs_in_with_a_browser_works_and_signs_out(
    deployed: dict[str, Any], dex: Dex, browser: Browser
) -> None:
    url = deployed["url"]
    sign_in(browser, f"{url}/", "ann")
    browser.until(f"location.href.startsWith({json.dumps(url)})")
    browser.until("document.querySelector('#root, #app, main') !== null")
    who = fetch(browser, "/ajax-api/2.0/mlflow/users/current")
    assert json.loads(who["body"])["user"]["username"] == "ann"
    # By which the web interface knows that nobody has a password to change.
    assert json.loads(who["body"])["is_basic_auth"] is False
    for kept in browser.cookies().values():
        if "mlflow-session" in kept["name"]:
            assert kept["name"] == f"__Host-mlflow-session-{url.rpartition(':')[2]}"
            assert (kept["httpOnly"], kept["secure"], kept["sameSite"]) == (True, True, "Lax")
            break
    else:
        raise AssertionError(browser.cookies())
    created = fetch(
        browser,
        "/ajax-api/2.0/mlflow/experiments/create",
        method="POST",
        headers={"Content-Type": "application/json"},
        body=json.dumps({"name": "by a browser"}),
    )
    assert created["status"] == 200
    browser.open(f"{url}/oidc/logout")
    browser.until("document.body.innerText.includes('signed out')")
    # From there, a script of no kind asks anything.
    browser.open(f"{url}/health")
    browser.until("location.pathname === '/health'")
    assert fetch(browser, "/ajax-api/2.0/mlflow/users/current")["status"] == 401


def test_an_operator_is_an_administrator_in_the_browser_and_others_stay_outside(
    deployed: dict[str, Any], dex: Dex, browser: Browser
) -> None:
    url = deployed["url"]
    sign_in(browser, f"{url}/oidc/login?next=/health", "otto")
    browser.until("document.body.innerText.includes('in none of the groups')")
    assert not any("session" in name for name in browser.cookies())
    sign_in(browser, f"{url}/oidc/login?next=/health", "olga")
    browser.until("location.pathname === '/health'")
    assert fetch(browser, f"/ajax-{OF_ADMINISTRATORS[1:]}")["status"] == 200
    who = fetch(browser, "/ajax-api/2.0/mlflow/users/current")
    assert json.loads(who["body"])["user"]["is_admin"] is True


def test_a_page_of_elsewhere_changes_nothing_with_a_person_s_session(
    deployed: dict[str, Any], dex: Dex, browser: Browser
) -> None:
    """The page of dex, which is on another host, posts a form; so does one of another port."""
    url = deployed["url"]
    sign_in(browser, f"{url}/oidc/login?next=/health", "ann")
    browser.until("location.pathname === '/health'")
    browser.open(f"{dex.issuer}/healthz")
    browser.until("location.pathname === '/dex/healthz'")
    form = (
        "const form = document.createElement('form'); form.method = 'POST';"
        f"form.action = {json.dumps(url + '/api/2.0/mlflow/experiments/create')};"
        "document.body.append(form); form.submit()"
    )
    browser.run(f"(() => {{ {form} }})()")
    browser.until("location.pathname.endsWith('/create')")
    assert "UNAUTHENTICATED" in browser.run("document.body.innerText")


def test_new_keys_of_the_provider_are_taken_and_old_tokens_are_not(
    deployed: dict[str, Any], dex: Dex
) -> None:
    former = dex.token("ann")
    assert get(deployed, SEARCH, former) == 200
    dex.stop()
    # Nobody is kept out by that, who is known already.
    assert [get(deployed, SEARCH, former) for _ in range(6)] == [200] * 6
    dex.start()
    token = dex.token("ann")
    components = Target.model_validate(deployed["target"]).components
    replicas = [f"http://{one.audit}" for one in components if one.kind == "mlflow"]
    assert len(replicas) == 2
    for replica in replicas:
        found = [
            requests.get(
                replica + SEARCH, headers={"Authorization": f"Bearer {given}"}, timeout=SECONDS
            ).status_code
            for given in (token, former)
        ]
        assert found == [200, 401]


def test_no_secret_shows(
    stack: Stack, deployed: dict[str, Any], dex: Dex, docker_client: docker.DockerClient
) -> None:
    token = dex.token("ann")
    assert get(deployed, SEARCH, token) == 200
    for place, text in stack.exposed(docker_client).items():
        assert "/oidc/callback?" not in text, place
        for secret in (CLIENT_SECRET, deployed["admin_password"], token.split(".")[2], PASSWORD):
            assert secret not in text, place
    assert stack.run("preview", "--expect-no-changes")
