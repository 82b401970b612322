"""Every route of the server against everybody: what docs/routes.md shows, and how it is found out.

    python -m tests.images.routes --write

The routes come from the server's own tables, in its container. Each is asked with values of one
team's experiment, run, model, trace, data set and artifact, whose content carries `MARK`: an answer
with it shows what belongs to the team. What reads is asked first by all, then what writes, and what
deletes at the end.
"""

import argparse
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

import requests

from infra.image.build import build
from tests.images.sandbox import Postgres, execute, opened, wait_until
from tests.images.users import ADMIN, ServersWithUsers

DOCUMENT = Path(__file__).parents[2] / "docs" / "routes.md"

MARK = "belongs-to-the-team"
"""In what belongs to the team, and in no request of those that try the routes."""

EXPERIMENT = "an experiment"

UNKNOWN = (
    *("queue_id", "schema_id", "secret_id", "secret_name", "budget_policy_id", "endpoint_id"),
    *("issue_id", "job_id", "job_name", "scorer_ids", "provider", "webhook_id", "guardrail_id"),
)
"""What requests name that the team has none of."""

GRAPHQL = """query {
    mlflowGetExperiment(input: {experimentId: "%(experiment)s"}) {
        experiment { tags { key value } }
    }
    mlflowGetRun(input: {runId: "%(run)s"}) { run { data { params { key value } } } }
    mlflowSearchRuns(input: {experimentIds: ["%(experiment)s"]}) {
        runs { data { params { key value } } }
    }
    mlflowSearchModelVersions(input: {}) { modelVersions { description } }
}"""

HEADER = "X-MLFLOW-WORKSPACE"

AT_ONCE = 8
SECONDS = 120

LONG = ("/gateway/supported-models", "/demo/generate")
"""What asks the internet, or writes much: whether it is refused is known before."""

LONG_SECONDS = 5

LIST = r"""
import json, os
os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
os.environ["MLFLOW_BENCH_REQUESTS_AT_ONCE"] = "1"
from mlflow.server import app as flask_app
from mlflow_bench_stores import access, metrics, server
from mlflow_bench_stores.concurrency import ConcurrencyLimit

def native(routes, prefix=""):
    for route in routes:
        if hasattr(route, "original_router"):
            yield from native(route.original_router.routes, prefix + route.include_context.prefix)
        elif hasattr(route, "methods"):
            for method in route.methods:
                yield method, prefix + route.path
        else:
            # What else there may be is Flask's application, of which all rules are known.
            assert type(route).__name__ == "Mount" and not route.path, route

app, _ = access.with_users(flask_app, ConcurrencyLimit(1))
found = {(method, rule.rule) for rule in flask_app.url_map.iter_rules() for method in rule.methods}
found |= set(native(app.routes))
found |= {("GET", server.HEALTH), ("GET", metrics.PATH)}
found |= {(method, route + "{artifact_path:path}") for method in ("GET", "PUT")
          for route in server.ROUTES}
print("routes:", json.dumps(sorted(found)))
"""
"""Prints the routes of Flask, FastAPI and our own; runs in the container of a server."""


class Role(StrEnum):
    """Who asks."""

    NOBODY = "nobody"
    OTHER = "another team"
    READER = "reader"
    EDITOR = "editor"
    ADMINISTRATOR = "administrator"


class Cell(StrEnum):
    """What becomes of a request."""

    ASKED = "401"
    REFUSED = "403"
    ANSWERED = "yes"
    SHOWN = "shows"


USERS = {Role.OTHER: "otto", Role.READER: "rita", Role.EDITOR: "edgar"}
USER_PASSWORD = "of-one-of-the-users"
SUBJECT = "victor"
"""The user whom requests about users are about."""


@dataclass(frozen=True, order=True)
class Route:
    """A method and a path, with its parameters as the server writes them."""

    path: str
    method: str

    @property
    def phase(self) -> int:
        """0: it reads, 1: it writes, 2: it deletes or ends something."""
        last = self.path.lower()
        if self.method == "DELETE" or re.search(r"delete|remove|revoke|cancel|unassign", last):
            return 2
        reads = self.method == "GET" or re.search(r"search|/get|/list|query|batch|graphql", last)
        return 0 if reads and "set-" not in last else 1


Cells = Mapping[Role, Cell]


@dataclass
class Found:
    """What the routes do."""

    table: dict[Route, Cells]
    shown_to_others: list[str] = field(default_factory=list)
    """Requests of another team, or of nobody, whose answers showed what is not theirs."""
    failed: list[str] = field(default_factory=list)
    """Requests that the server answered with 500."""


def routes(servers: ServersWithUsers) -> list[Route]:
    """Return the routes of a server, from its own tables."""
    variables = ("env", "PGPASSFILE=/tmp/pgpass", "python", "-W", "ignore", "-c", LIST)
    listed = execute(servers.containers[0], *variables)
    lines = [line for line in listed.stdout.splitlines() if line.startswith("routes: ")]
    assert lines, listed.stderr
    pairs = json.loads(lines[0].removeprefix("routes: "))
    return sorted(Route(path, method) for method, path in pairs if method not in _NO_METHODS)


_NO_METHODS = ("HEAD", "OPTIONS")


TEAM, OTHERS = "team-a", "team-b"
"""Workspaces, one of a team and one of another."""

IN_NONE = re.compile(
    r"GET (?:/health|/version|/static-files/.*|/(?:ajax-)?api/3\.0/mlflow/server-info)"
)
"""What is of no workspace, whichever is named."""


@dataclass
class Between:
    """What another team gets of a team's workspace."""

    passed: list[str] = field(default_factory=list)
    """Routes that were not refused though the team's workspace was named."""
    shown: list[str] = field(default_factory=list)
    """Routes that showed what is the team's to one who named a workspace of their own."""
    failed: list[str] = field(default_factory=list)
    """Requests that the server answered with 500."""
    changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    """What is the team's and not as it was, before and after."""


def try_between_workspaces(servers: ServersWithUsers) -> Between:
    """Ask every route of a server with workspaces, which nobody has used yet, as another team.

    First with the team's workspace, then from their own, in which they may do everything.
    """
    url = servers.url()
    for workspace in (TEAM, OTHERS):
        _post(url, "workspaces", {"name": workspace}, "3.0")
    values = _belongings(url, TEAM)
    give_part(url, USERS[Role.OTHER], OTHERS)
    before = _contents(url, values)
    found = Between()

    def ask(route: Route, workspace: str) -> None:
        name = f"{route.method} {route.path}"
        status, text = _ask(url, route, Role.OTHER, values, workspace)
        if workspace == TEAM and status != requests.codes.forbidden and not IN_NONE.match(name):
            found.passed.append(f"{name}: {status} {text[:200]}")
        if MARK in text:
            found.shown.append(f"{workspace}: {name}")
        if status >= requests.codes.server_error:
            found.failed.append(f"{workspace}: {name}: {status} {text[:200]}")

    known = routes(servers)
    for workspace in (TEAM, OTHERS):
        for phase in range(3):
            asked = [route for route in known if route.phase == phase]
            with ThreadPoolExecutor(AT_ONCE if phase < 2 else 1) as threads:
                list(threads.map(ask, asked, [workspace] * len(asked)))
    after = _contents(url, values)
    found.changed = {name: (was, after[name]) for name, was in before.items() if was != after[name]}
    return found


def give_part(url: str, username: str, workspace: str, role: str = "admin") -> None:
    """Give a user one of the roles that MLflow makes with a workspace."""
    listed = requests.get(
        f"{url}/api/3.0/mlflow/roles/list",
        params={"workspace": workspace},
        auth=ADMIN,
        timeout=SECONDS,
    ).json()
    [number] = [one["id"] for one in listed["roles"] if one["name"] == role]
    _post(url, "roles/assign", {"username": username, "role_id": number}, "3.0")


def _contents(url: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return what the team has, as the administrator reads it."""
    paths = {
        "experiment": "2.0/mlflow/experiments/get?experiment_id={experiment_id}",
        "run": "2.0/mlflow/runs/get?run_id={run_id}",
        "metric": "2.0/mlflow/metrics/get-history?run_id={run_id}&metric_key=loss",
        "model": "2.0/mlflow/registered-models/get?name={name}",
        "version": "2.0/mlflow/model-versions/get?name={name}&version=1",
        "logged model": "2.0/mlflow/logged-models/{model_id}",
        "trace": "3.0/mlflow/traces/{trace_id}",
        "data set": "3.0/mlflow/datasets/{dataset_id}",
        "artifact": "2.0/mlflow-artifacts/artifacts/{path}",
    }
    headers = {HEADER: TEAM}
    found = {}
    for name, path in paths.items():
        asked = f"{url}/api/{path.format(**values)}"
        answer = requests.get(asked, auth=ADMIN, headers=headers, timeout=SECONDS)
        assert answer.ok, f"{name}: {answer.text}"
        found[name] = answer.text
    return found


def try_all(servers: ServersWithUsers) -> Found:
    """Ask every route of a server that nobody has used yet, as everybody."""
    url = servers.url()
    known = routes(servers)
    values = _belongings(url)
    cells: dict[Route, dict[Role, Cell]] = {route: {} for route in known}
    found = Found(dict(cells))

    def ask(route: Route, role: Role) -> None:
        status, text = _ask(url, route, role, values)
        shown = MARK in text
        cells[route][role] = _cell(status, shown)
        if shown and role in (Role.NOBODY, Role.OTHER):
            found.shown_to_others.append(f"{role}: {route.method} {route.path}")
        if status >= requests.codes.server_error:
            found.failed.append(f"{role}: {route.method} {route.path}: {status} {text[:200]}")

    for phase in range(3):
        for role in Role:
            with ThreadPoolExecutor(AT_ONCE if phase < 2 else 1) as threads:
                asked = [route for route in known if route.phase == phase]
                list(threads.map(ask, asked, [role] * len(asked)))
    return found


def _cell(status: int, shown: bool) -> Cell:
    if status in (requests.codes.unauthorized, requests.codes.forbidden):
        return Cell(str(status))
    return Cell.SHOWN if shown else Cell.ANSWERED


def _credentials(role: Role) -> tuple[str, str] | None:
    if role is Role.NOBODY:
        return None
    return ADMIN if role is Role.ADMINISTRATOR else (USERS[role], USER_PASSWORD)


def _ask(
    url: str, route: Route, role: Role, values: Mapping[str, Any], workspace: str = ""
) -> tuple[int, str]:
    """Return the status of an answer, and what came of it."""
    path = re.sub(
        r"[<{](?:\w+:)?(\w+)(?::\w+)?[>}]",
        lambda match: str(values.get(match[1], "none")),
        route.path,
    )
    given: dict[str, Any] = {} if route.method == "GET" else {"json": values}
    if path == "/v1/traces":
        given = {"data": b"", "headers": {"Content-Type": "application/x-protobuf"}}
    long = route.path.endswith(LONG)
    if route.path.endswith("/presigned-upload-url"):
        # Of a run or of a model.
        given = {"json": {key: values[key] for key in values.keys() - {"model_id"}}}
    headers = {"X-Mlflow-Experiment-Id": values["experiment_id"], **given.pop("headers", {})}
    if workspace:
        headers[HEADER] = workspace
    try:
        with requests.request(
            route.method,
            url + path,
            params={key: values[key] for key in values.keys() - {"query", "locations"}},
            auth=_credentials(role),
            headers=headers,
            timeout=LONG_SECONDS if long else SECONDS,
            allow_redirects=False,
            stream=True,
            **given,
        ) as answer:
            # Some have no end.
            endless = answer.headers.get("Content-Type", "").startswith("text/event-stream")
            return answer.status_code, "" if endless else answer.text
    except requests.Timeout:
        if not long:
            raise
        return requests.codes.ok, ""


def _post(
    url: str, path: str, body: Mapping[str, Any], version: str = "2.0", workspace: str = ""
) -> Any:
    """Send something as the administrator; return the answer."""
    answer = requests.post(
        f"{url}/api/{version}/mlflow/{path}",
        json=body,
        auth=ADMIN,
        headers={HEADER: workspace} if workspace else {},
        timeout=SECONDS,
    )
    assert answer.ok, f"{path}: {answer.text}"
    return answer.json()


def _belongings(url: str, workspace: str = "") -> dict[str, Any]:
    """Make the users and what belongs to the team; return what requests name of it."""

    def post(path: str, body: Mapping[str, Any], version: str = "2.0") -> Any:
        return _post(url, path, body, version, workspace)

    for name in (*USERS.values(), SUBJECT):
        post("users/create", {"username": name, "password": USER_PASSWORD})
    tags = [{"key": "owner", "value": MARK}]
    experiment = post("experiments/create", {"name": EXPERIMENT, "tags": tags})["experiment_id"]
    body = {"experiment_id": experiment, "start_time": 1, "tags": tags}
    run = post("runs/create", body)["run"]["info"]["run_id"]
    post("runs/log-parameter", {"run_id": run, "key": "note", "value": MARK})
    post("runs/log-metric", {"run_id": run, "key": "loss", "value": 0.5, "timestamp": 1})
    name = "model"
    post("registered-models/create", {"name": name, "description": MARK, "tags": tags})
    folder = f"workspaces/{workspace}/{experiment}" if workspace else experiment
    source = f"mlflow-artifacts:/{folder}/{run}/artifacts/m"
    version = {"name": name, "source": source, "run_id": run, "description": MARK, "tags": tags}
    post("model-versions/create", version)
    body = {"experiment_id": experiment, "name": f"of-{MARK}", "source_run_id": run, "tags": tags}
    model = post("logged-models", body)["model"]["info"]["model_id"]
    trace = f"tr-{1:032x}"
    post("traces", {"trace": {"trace_info": _trace(trace, experiment)}}, "3.0")
    data_set = post(
        "datasets/create",
        {"name": f"of {MARK}", "experiment_ids": [experiment], "tags": json.dumps({"a": MARK})},
        "3.0",
    )["dataset"]["dataset_id"]
    path = f"{experiment}/{run}/artifacts/note.txt"
    artifact = f"{url}/api/2.0/mlflow-artifacts/artifacts/{path}"
    headers = {HEADER: workspace} if workspace else {}
    assert requests.put(artifact, data=MARK, auth=ADMIN, headers=headers, timeout=SECONDS).ok
    for role, permission in ((Role.READER, "READ"), (Role.EDITOR, "EDIT")):
        for kind, key in (("experiment", experiment), ("registered_model", name)):
            grant = {
                "username": USERS[role],
                "resource_type": kind,
                "resource_id": key,
                "permission": permission,
            }
            post("users/permissions/grant", grant, "3.0")
    return {
        "experiment_id": experiment,
        "experiment_ids": [experiment],
        "experiment_name": EXPERIMENT,
        **dict.fromkeys(("run_id", "run_uuid", "source_run_id"), run),
        "run_ids": [run],
        **dict.fromkeys(("trace_id", "request_id"), trace),
        "trace_ids": [trace],
        "request_ids": [trace],
        "model_id": model,
        "model": "none",
        "dataset_id": data_set,
        "dataset_ids": [data_set],
        "name": name,
        "version": "1",
        **dict.fromkeys(("artifact_path", "path"), path),
        "key": "another",
        "metric_key": "loss",
        "value": 1,
        "timestamp": 2,
        "step": 1,
        "alias": "current",
        "stage": "None",
        "max_results": 10,
        "username": SUBJECT,
        "password": "another-of-the-users",
        "is_admin": False,
        "resource_type": "experiment",
        **dict.fromkeys(("resource_id", "resource_pattern"), experiment),
        "permission": "READ",
        "role_id": 1,
        "query": GRAPHQL % {"run": run, "experiment": experiment},
        "locations": [_location(experiment)],
        **dict.fromkeys(UNKNOWN, "none"),
    }


def _location(experiment: str) -> dict[str, Any]:
    return {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment}}


def _trace(trace: str, experiment: str) -> dict[str, Any]:
    return {
        "trace_id": trace,
        "trace_location": _location(experiment),
        "request_preview": MARK,
        "request_time": "2026-01-01T00:00:00Z",
        "state": "OK",
        "tags": {"owner": MARK},
        "trace_metadata": {"owner": MARK},
    }


HEAD = """# Every route, and who may use it

With `auth: basic` and `default_permission: none` ([access.md](access.md)). Written by
`python -m tests.images.routes --write`, which asks a server; `tests/images/test_users.py` asks one
again and compares: a route that is not here, or answers otherwise, fails it.

- **nobody** gives no password; **another team** is a user with no permission; **reader** and
  **editor** have `READ` and `EDIT` on the team's experiment and registered model.
- `401`: asked for a password. `403`: refused. `yes`: answered, be it that there is no such thing.
  `shows`: answered with what belongs to the team. A search of another team is answered, and shows
  nothing of it.
- `/[ajax-]api` is the same route twice, for clients and for the web interface.
- With `workspaces: true`, whoever has no part in a workspace gets `403` for every route with it,
  but for `/health`, `/version`, `/static-files/` and `server-info`, which are of none; and from a
  workspace of their own they are shown nothing of it and change nothing in it, by any of these
  routes (`tests/images/test_workspaces.py` asks all).

| method | route | nobody | another team | reader | editor | administrator |
|---|---|---|---|---|---|---|
"""


def render(table: Mapping[Route, Cells]) -> str:
    """Return the page."""
    rows: dict[tuple[str, str, tuple[Cell, ...]], set[str]] = {}
    for route, cells in table.items():
        both = re.sub(r"^/(ajax-)?api/", "/[ajax-]api/", route.path)
        key = (both, route.method, tuple(cells[role] for role in Role))
        rows.setdefault(key, set()).add(route.path)
    return HEAD + "".join(_rows(rows))


def _rows(rows: Mapping[tuple[str, str, tuple[Cell, ...]], set[str]]) -> Iterator[str]:
    for (both, method, cells), paths in sorted(rows.items()):
        for path in [both] if len(paths) > 1 else sorted(paths):
            yield f"| {method} | `{path}` | {' | '.join(cells)} |\n"


def differences(page: str, expected: str) -> list[str]:
    """Return the rows that only one of two pages has, with a sign each."""
    now, before = page.splitlines(), expected.splitlines()
    return [
        *(f"+ {line}" for line in now if line not in before),
        *(f"- {line}" for line in before if line not in now),
    ]


def main(arguments: Iterable[str]) -> int:
    """Try all routes of a server of this checkout; print the page, or write it."""
    parser = argparse.ArgumentParser(prog="python -m tests.images.routes")
    parser.add_argument("--write", action="store_true", help=f"write {DOCUMENT.name}")
    options = parser.parse_args(list(arguments))
    with opened() as sandbox:
        postgres = Postgres(sandbox, build(sandbox.client, "postgres"), hostname="postgres")
        wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
        image = build(sandbox.client, "mlflow")
        servers = ServersWithUsers(sandbox, image, "postgres", sandbox.secret.parent)
        servers.wait()
        found = try_all(servers)
    page = render(found.table)
    for line in (*found.failed, *found.shown_to_others):
        print(line, file=sys.stderr)
    if options.write:
        DOCUMENT.write_text(page)
    else:
        print(page, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
