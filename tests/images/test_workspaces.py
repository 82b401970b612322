"""Two teams on one server: what each may see, change and find of the other. It is nothing."""

import http.client
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import requests

from tests.images import routes
from tests.images.routes import HEADER, OTHERS, TEAM, give_part
from tests.images.sandbox import Postgres, Sandbox, wait_until
from tests.images.traces import Batch, new_trace
from tests.images.users import ADMIN, ServersWithUsers

pytestmark = pytest.mark.plugins

SECONDS = 120
PASSWORD = "of-one-of-the-users"
SECRET = "of-the-team-alone"
ARTIFACTS = "/api/2.0/mlflow-artifacts/artifacts"

CLIENT = """
import sys, mlflow
from mlflow import MlflowClient
mlflow.set_experiment("work")
with mlflow.start_run() as run:
    mlflow.log_param("note", sys.argv[1])
    mlflow.log_text(sys.argv[1], "note.txt")
    with mlflow.start_span("step") as span:
        span.set_inputs(sys.argv[1])
mlflow.flush_trace_async_logging()
client = MlflowClient()
client.create_registered_model("model", description=sys.argv[1])
client.create_model_version("model", run.info.artifact_uri + "/m", run.info.run_id)
experiments = client.search_experiments()
ids = [one.experiment_id for one in experiments]
print("names", sorted(one.name for one in experiments if one.name != "Default"))
print("runs", [one.data.params for one in client.search_runs(ids)])
print("models", [one.description for one in client.search_registered_models()])
print("versions", len(client.search_model_versions()))
print("traces", len(client.search_traces(locations=ids)))
print("artifacts", mlflow.artifacts.load_text(run.info.artifact_uri + "/note.txt"))
print("run", run.info.run_id)
"""
"""Work of a team by MLflow's own client: each has an experiment and a model of the same name."""


@pytest.fixture(scope="module")
def server(
    sandbox: Sandbox,
    postgres_image: str,
    mlflow_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[ServersWithUsers]:
    """One replica of a stack with users and workspaces."""
    postgres = Postgres(sandbox, postgres_image, "-c", "max_connections=200", hostname="teams")
    wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
    folder = tmp_path_factory.mktemp("teams")
    with ServersWithUsers(sandbox, mlflow_image, "teams", folder, workspaces=True) as server:
        yield server
    postgres.container.remove(force=True)


@pytest.fixture(scope="module")
def between(server: ServersWithUsers) -> routes.Between:
    """What another team got of a team's, by every route; it makes the workspaces of all tests."""
    return routes.try_between_workspaces(server)


@dataclass(frozen=True)
class Member:
    """A user who may do everything in a workspace."""

    url: str
    name: str
    workspace: str | None

    def ask(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {HEADER: self.workspace} if self.workspace else {}
        headers |= options.pop("headers", {})
        return requests.request(
            method,
            self.url + path,
            auth=(self.name, PASSWORD),
            headers=headers,
            timeout=SECONDS,
            **options,
        )

    def post(self, path: str, **body: Any) -> Any:
        answer = self.ask("POST", f"/api/2.0/mlflow/{path}", json=body)
        assert answer.ok, answer.text
        return answer.json()


def new_member(url: str, workspace: str | None, *roles: str) -> Member:
    name = f"user-{secrets.token_hex(4)}"
    user = {"username": name, "password": PASSWORD}
    made = requests.post(
        f"{url}/api/2.0/mlflow/users/create", json=user, auth=ADMIN, timeout=SECONDS
    )
    assert made.ok, made.text
    for role in roles:
        give_part(url, name, workspace or "default", role)
    return Member(url, name, workspace)


@pytest.fixture(scope="module")
def ann(server: ServersWithUsers, between: routes.Between) -> Member:
    return new_member(server.url(), TEAM, "admin")


@pytest.fixture(scope="module")
def bob(server: ServersWithUsers, between: routes.Between) -> Member:
    return new_member(server.url(), OTHERS, "admin")


@pytest.fixture(scope="module")
def dora(server: ServersWithUsers, between: routes.Between) -> Member:
    """Who may do everything in the default workspace."""
    url = server.url()
    body: dict[str, Any] = {"name": "admin", "workspace": "default"}
    api = f"{url}/api/3.0/mlflow/roles"
    role = requests.post(f"{api}/create", json=body, auth=ADMIN, timeout=SECONDS).json()["role"]
    body = {
        "role_id": role["id"],
        "resource_type": "workspace",
        "resource_pattern": "*",
        "permission": "MANAGE",
    }
    assert requests.post(f"{api}/permissions/add", json=body, auth=ADMIN, timeout=SECONDS).ok
    return new_member(url, None, "admin")


@pytest.fixture(scope="module")
def run(ann: Member) -> Any:
    """A run of Ann's, with a file."""
    experiment = ann.post("experiments/create", name="of Ann")["experiment_id"]
    info = ann.post("runs/create", experiment_id=experiment)["run"]["info"]
    path = f"{ARTIFACTS}/{experiment}/{info['run_id']}/artifacts/note.txt"
    assert ann.ask("PUT", path, data=SECRET).ok
    assert ann.ask("GET", path).text == SECRET
    return info


def test_no_route_opens_another_team_s_workspace(between: routes.Between) -> None:
    assert between.passed == []


def test_no_route_shows_or_changes_what_another_team_has(between: routes.Between) -> None:
    assert between.shown == []
    assert between.changed == {}


def test_teams_work_beside_each_other_by_mlflow_s_client(server: ServersWithUsers) -> None:
    def new_team(workspace: str) -> Member:
        made = requests.post(
            f"{server.url()}/api/3.0/mlflow/workspaces",
            json={"name": workspace},
            auth=ADMIN,
            timeout=SECONDS,
        )
        assert made.ok, made.text
        return new_member(server.url(), workspace, "admin")

    def work(member: Member) -> dict[str, str]:
        environment = {
            **os.environ,
            "MLFLOW_TRACKING_URI": member.url,
            "MLFLOW_TRACKING_USERNAME": member.name,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
            "MLFLOW_WORKSPACE": member.workspace or "",
        }
        command = [sys.executable, "-W", "ignore", "-c", CLIENT, f"by {member.name}"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stderr
        lines = (line.partition(" ") for line in done.stdout.splitlines())
        return {name: rest for name, _, rest in lines}

    here, there = new_team("lab-a"), new_team("lab-b")
    work(here)
    found = work(there)
    said = f"by {there.name}"
    assert found["names"] == "['work']"
    assert found["runs"] == str([{"note": said}])
    assert found["models"] == str([said])
    assert (found["versions"], found["traces"], found["artifacts"]) == ("1", "1", said)
    # By its id, the other team's is not there either.
    run = here.ask("GET", "/api/2.0/mlflow/runs/get", params={"run_id": found["run"]})
    assert run.status_code == 403


@pytest.mark.parametrize(
    ("workspaces", "status"),
    [
        ([OTHERS], 200),
        ([f" {OTHERS} "], 200),
        ([TEAM], 403),
        (["default"], 403),
        ([], 403),
        ([""], 403),
        (["none"], 403),
        ([TEAM, OTHERS], 400),
        ([OTHERS, TEAM], 400),
        ([f"{OTHERS},{TEAM}"], 400),
        ([f"../{TEAM}"], 400),
        ([TEAM.upper()], 400),
    ],
)
def test_headers_open_no_other_workspace(bob: Member, workspaces: list[str], status: int) -> None:
    # `requests` sends no header twice.
    connection = http.client.HTTPConnection(bob.url.removeprefix("http://"), timeout=SECONDS)
    connection.putrequest("GET", "/api/2.0/mlflow/experiments/search?max_results=100")
    connection.putheader("Authorization", requests.auth._basic_auth_str(bob.name, PASSWORD))
    for workspace in workspaces:
        connection.putheader(HEADER, workspace)
    connection.endheaders()
    answer = connection.getresponse()
    found = answer.read().decode()
    connection.close()
    assert (answer.status, found) == (status, found)
    assert "of Ann" not in found


def spellings(run: Any) -> list[str]:
    path = run["artifact_uri"].removeprefix("mlflow-artifacts:/") + "/note.txt"
    assert path.startswith(f"workspaces/{TEAM}/")
    return [
        path,
        f"./{path}",
        f"/{path}",
        f"%2e/{path}",
        f"%252e/{path}",
        f"workspaces/./{TEAM}/{path.partition(f'{TEAM}/')[2]}",
        f"workspaces//{TEAM}/{path.partition(f'{TEAM}/')[2]}",
        f"{run['experiment_id']}/{run['run_id']}/artifacts/note.txt",
    ]


def test_no_spelling_of_a_path_reaches_another_team_s_artifacts(
    run: Any, bob: Member, dora: Member, ann: Member
) -> None:
    for member in (bob, dora):
        for spelling in spellings(run):
            for method, options in (
                ("GET", {}),
                ("HEAD", {}),
                ("PUT", {"data": "mine"}),
                ("DELETE", {"json": {}}),
            ):
                answer = member.ask(method, f"{ARTIFACTS}/{spelling}", **options)
                told = (member.workspace, method, spelling, answer.text)
                # A path without a workspace is one of their own, where there is nothing.
                assert answer.status_code in (400, 403, 404), told
                assert SECRET not in answer.text, told
            folder = spelling.rpartition("/")[0]
            listed = member.ask("GET", ARTIFACTS, params={"path": folder})
            assert "note.txt" not in listed.text, (member.workspace, folder, listed.text)
        for folder in ("workspaces", "./workspaces", f"workspaces/{TEAM}", "trace-archive"):
            listed = member.ask("GET", ARTIFACTS, params={"path": folder})
            assert (listed.status_code == 400) or listed.json() == {}, (folder, listed.text)
    path = f"{ARTIFACTS}/{run['experiment_id']}/{run['run_id']}/artifacts/note.txt"
    assert ann.ask("GET", path).text == SECRET
    # As a backup asks for it.
    whole = f"{dora.url}{ARTIFACTS}/{spellings(run)[0]}"
    assert requests.get(whole, auth=ADMIN, timeout=SECONDS).text == SECRET


def test_a_file_of_the_web_interface_is_where_the_default_workspace_has_its_own(
    dora: Member,
) -> None:
    experiment = dora.post("experiments/create", name="of Dora")["experiment_id"]
    info = dora.post("runs/create", experiment_id=experiment)["run"]["info"]
    assert info["artifact_uri"] == f"mlflow-artifacts:/{experiment}/{info['run_id']}/artifacts"
    place = {"run_uuid": info["run_id"], "path": "note.txt"}
    sent = dora.ask("POST", "/ajax-api/2.0/mlflow/upload-artifact", params=place, data=b"text")
    assert sent.ok, sent.text
    found = dora.ask("GET", "/get-artifact", params=place | {"run_id": info["run_id"]})
    assert found.text == "text"


def test_a_trace_of_one_s_own_leads_to_no_file_of_others(run: Any, bob: Member) -> None:
    place = run["artifact_uri"]
    forged = {
        "mlflow.artifactLocation": place,
        "mlflow.trace.archiveLocation": f"file:///var/lib/mlflow/artifacts/{place[18:]}",
        "mlflow.trace.spansLocation": "ARCHIVE_REPO",
    }
    experiment = bob.post("experiments/create", name="of Bob")["experiment_id"]
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    trace = f"tr-{new_trace()}"
    info = {
        "trace_id": trace,
        "trace_location": location,
        "request_time": "2026-01-01T00:00:00Z",
        "state": "OK",
        "tags": forged,
    }
    sent = bob.ask("POST", "/api/3.0/mlflow/traces", json={"trace": {"trace_info": info}})
    assert sent.ok, sent.text
    spans = new_trace()
    tags: dict[str, str | int | float] = {f"mlflow.traceTag.{key}": forged[key] for key in forged}
    headers = {"Content-Type": "application/x-protobuf", "X-Mlflow-Experiment-Id": experiment}
    body = Batch().add(spans, attributes=tags).request.SerializeToString()
    sent = bob.ask("POST", "/v1/traces", data=body, headers=headers)
    assert sent.ok, sent.text
    for identity in (trace, f"tr-{spans}"):
        for key, value in forged.items():
            for version in ("2.0", "3.0"):
                path = f"/api/{version}/mlflow/traces/{identity}/tags"
                refused = bob.ask("PATCH", path, json={"key": key, "value": value})
                assert refused.status_code == 400, (key, refused.text)
        found = bob.ask("GET", f"/api/3.0/mlflow/traces/{identity}").text
        assert TEAM not in found
        assert "ARCHIVE_REPO" not in found


@pytest.mark.parametrize(
    "trace", ["../../../../{team}/{id}/traces/tr-aaaa", "../../{id}/traces/{trace}", "..", "tr-1/x"]
)
def test_a_trace_s_id_leads_to_no_file_of_others(run: Any, bob: Member, trace: str) -> None:
    experiment = bob.post("experiments/create", name=secrets.token_hex(4))["experiment_id"]
    identity = trace.format(team=TEAM, id=run["experiment_id"], trace=f"tr-{new_trace()}")
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}
    info = {
        "trace_id": identity,
        "trace_location": location,
        "request_time": "2026-01-01T00:00:00Z",
        "state": "OK",
    }
    sent = bob.ask("POST", "/api/3.0/mlflow/traces", json={"trace": {"trace_info": info}})
    assert (sent.status_code, "Invalid trace id" in sent.text) == (400, True), sent.text
    body = {"locations": [location], "max_results": 10}
    found = bob.ask("POST", "/api/3.0/mlflow/traces/search", json=body)
    assert (found.status_code, found.json().get("traces", [])) == (200, [])


def test_who_has_one_workspace_changes_no_role_of_another(
    server: ServersWithUsers, ann: Member, bob: Member
) -> None:
    api = "/api/3.0/mlflow/roles"

    def roles(workspace: str) -> list[dict[str, Any]]:
        answer = requests.get(
            f"{server.url()}{api}/list",
            params={"workspace": workspace},
            auth=ADMIN,
            timeout=SECONDS,
        )
        assert answer.ok, answer.text
        found: list[dict[str, Any]] = answer.json()["roles"]
        return sorted(found, key=lambda role: int(role["id"]))

    own, before = roles(OTHERS)[0]["id"], roles(TEAM)
    [permission] = {one["id"] for role in before for one in role["permissions"][:1]} & {
        role["permissions"][0]["id"] for role in before if role["name"] == "user"
    }
    pair = {"role_id": own, "role_permission_id": permission}
    for prefix in (api, api.replace("/api/", "/ajax-api/")):
        for method, path, options in (
            ("POST", "create", {"json": {"role_id": own, "name": "x", "workspace": TEAM}}),
            ("PATCH", "permissions/update", {"json": {**pair, "permission": "MANAGE"}}),
            ("DELETE", "permissions/remove", {"json": pair}),
            ("DELETE", "permissions/remove", {"params": pair}),
            ("PATCH", "update", {"json": {"workspace": OTHERS, "role_id": 1, "name": "x"}}),
        ):
            answer = bob.ask(method, f"{prefix}/{path}", **options)
            assert answer.status_code == 400, (path, options, answer.text)
            assert "give one of them" in answer.text
    assert roles(TEAM) == before
    # As MLflow's client does it, in their own.
    made = bob.ask("POST", f"{api}/create", json={"name": "guest", "workspace": OTHERS})
    assert made.ok, made.text
    role = made.json()["role"]["id"]
    grant = {"role_id": role, "resource_type": "experiment", "resource_pattern": "*"}
    added = bob.ask("POST", f"{api}/permissions/add", json={**grant, "permission": "READ"})
    assert added.ok, added.text
    one = {"role_permission_id": added.json()["role_permission"]["id"]}
    raised = bob.ask("PATCH", f"{api}/permissions/update", json={**one, "permission": "EDIT"})
    assert raised.ok, raised.text
    assert bob.ask("DELETE", f"{api}/permissions/remove", json=one).ok
    assert bob.ask("DELETE", f"{api}/delete", json={"role_id": role}).ok


@pytest.mark.parametrize("path", ["/health", "/version"])
def test_nobody_may_ask_which_workspaces_there_are(server: ServersWithUsers, path: str) -> None:
    def told(workspace: str) -> tuple[int, str]:
        headers = {HEADER: workspace}
        answer = requests.get(server.url() + path, headers=headers, timeout=SECONDS)
        return answer.status_code, answer.text

    assert told(TEAM) == told("none") == told("No Name") == told("default")
    assert told(TEAM)[0] == 200


def test_spans_of_another_team_s_trace_are_refused_for_good(ann: Member, bob: Member) -> None:
    trace = new_trace()

    def send(member: Member) -> requests.Response:
        made = member.post("experiments/create", name=secrets.token_hex(4))
        headers = {
            "Content-Type": "application/x-protobuf",
            "X-Mlflow-Experiment-Id": made["experiment_id"],
        }
        body = Batch().add(trace).request.SerializeToString()
        return member.ask("POST", "/v1/traces", data=body, headers=headers)

    assert send(ann).ok
    refused = send(bob)
    assert refused.status_code == 400, refused.text
    assert "another workspace has that trace" in refused.text
    assert bob.ask("GET", f"/api/3.0/mlflow/traces/tr-{trace}").status_code in (403, 404)


def test_a_model_version_has_no_files_of_others(run: Any, bob: Member) -> None:
    bob.post("registered-models/create", name="of Bob")
    file = f"file:///var/lib/mlflow/artifacts/{spellings(run)[0].rpartition('/')[0]}"
    for source in (run["artifact_uri"], file, f"runs:/{run['run_id']}/note.txt", "models:/model/1"):
        for more in ({}, {"run_id": run["run_id"]}):
            body = {"name": "of Bob", "source": source, **more}
            made = bob.ask("POST", "/api/2.0/mlflow/model-versions/create", json=body)
            assert made.status_code in (400, 403, 404), (source, more, made.text)


def test_whoever_leaves_a_team_is_out_at_the_next_request(server: ServersWithUsers) -> None:
    url = server.url()
    member = new_member(url, TEAM, "user")
    search = "/api/2.0/mlflow/experiments/search?max_results=1"
    # What they have made is theirs by a permission of their own.
    made = member.post("experiments/create", name=secrets.token_hex(4))["experiment_id"]
    assert member.ask("GET", search).status_code == 200
    roles = requests.get(
        f"{url}/api/3.0/mlflow/users/roles/list",
        params={"username": member.name},
        auth=ADMIN,
        timeout=SECONDS,
    ).json()["roles"]
    for role in roles:
        if role["name"] == "user":
            body = {"username": member.name, "role_id": role["id"]}
            path = f"{url}/api/3.0/mlflow/roles/unassign"
            assert requests.delete(path, json=body, auth=ADMIN, timeout=SECONDS).ok
    assert member.ask("GET", search).status_code == 403
    path = f"/api/2.0/mlflow/experiments/get?experiment_id={made}"
    assert member.ask("GET", path).status_code == 403


def test_who_has_a_permission_from_before_keeps_it_in_the_default_workspace(
    server: ServersWithUsers, dora: Member
) -> None:
    url = server.url()
    made = dora.post("experiments/create", name=secrets.token_hex(4))["experiment_id"]
    member = new_member(url, None)
    path = f"/api/2.0/mlflow/experiments/get?experiment_id={made}"
    assert member.ask("GET", path).status_code == 403
    grant = {
        "username": member.name,
        "resource_type": "experiment",
        "resource_id": made,
        "permission": "READ",
    }
    api = f"{url}/api/3.0/mlflow/users/permissions/grant"
    assert requests.post(api, json=grant, auth=ADMIN, timeout=SECONDS).ok
    found = member.ask("GET", path)
    assert found.ok, found.text
    assert json.loads(found.text)["experiment"]["experiment_id"] == made
    other = dora.post("experiments/create", name=secrets.token_hex(4))["experiment_id"]
    path = f"/api/2.0/mlflow/experiments/get?experiment_id={other}"
    assert member.ask("GET", path).status_code == 403


def test_what_was_asked_for_before_it_was_made_is_not_denied_then(bob: Member) -> None:
    last = bob.post("experiments/create", name=secrets.token_hex(4))["experiment_id"]
    path = f"/api/2.0/mlflow/experiments/get?experiment_id={int(last) + 1}"
    assert bob.ask("GET", path).status_code == 403
    made = bob.post("experiments/create", name=secrets.token_hex(4))["experiment_id"]
    assert made == str(int(last) + 1)
    assert bob.ask("GET", path).ok


def test_a_user_sees_the_workspaces_of_their_own(bob: Member, dora: Member) -> None:
    for member, names in ((bob, [OTHERS]), (dora, ["default"])):
        found = Member(member.url, member.name, None).ask("GET", "/api/3.0/mlflow/workspaces")
        assert [one["name"] for one in found.json()["workspaces"]] == names
