"""Which workspace a request is for, and who has a part in it."""

# mypy: allow-untyped-calls

import asyncio
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException
from mlflow.utils.workspace_context import ServerWorkspaceContext, get_request_workspace

from infra.images.mlflow.stores.mlflow_bench_stores import workspaces
from infra.images.mlflow.stores.mlflow_bench_stores.access import User
from infra.images.mlflow.stores.mlflow_bench_stores.workspaces import (
    Workspaces,
    keep_paths_apart,
    keep_places_of_the_default,
    within,
)

ADMIN = User(1, "admin", "", is_admin=True)
ANN, EVE, OLD = (User(2, name, "", is_admin=False) for name in ("ann", "eve", "old"))
PARTS = {"ann": {"team-a"}, "old": {"default", "gone"}}
RUNS = "/api/2.0/mlflow/runs/search"


class Inside:
    """An application that notes the workspace of each request."""

    def __init__(self) -> None:
        self.seen: list[str | None] = []

    async def application(self, scope: Any, receive: Any, send: Any) -> None:
        self.seen.append(get_request_workspace())
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body"})


def ask(
    user: User | None, *names: str, path: str = RUNS, users: bool = True
) -> tuple[int, str | None]:
    """Return an answer's status, and the workspace in which what passed was answered."""
    found = Workspaces(
        {"team-a", "team-b"}.__contains__, (lambda name: PARTS.get(name, set())) if users else None
    )
    inside, sent = Inside(), list[Any]()

    async def one() -> None:
        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(workspaces.HEADER, name.encode()) for name in names]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        await within(inside.application, found, lambda: user)(scope, None, send)  # type: ignore[arg-type]
        assert get_request_workspace() is None

    asyncio.run(one())
    return sent[0]["status"], inside.seen[0] if inside.seen else None


@pytest.mark.parametrize(
    ("user", "name", "answer"),
    [
        (ADMIN, "team-a", (200, "team-a")),
        (ADMIN, "none", (404, None)),
        (ADMIN, "No Name", (400, None)),
        (ADMIN, "../team-a", (400, None)),
        (ADMIN, "default", (200, "default")),
        (ANN, "team-a", (200, "team-a")),
        (ANN, " team-a ", (200, "team-a")),
        (ANN, "team-b", (403, None)),
        (ANN, "none", (403, None)),
        (ANN, "default", (403, None)),
        (OLD, "default", (200, "default")),
        (OLD, "team-a", (403, None)),
        # A role may be of a workspace that is not there.
        (OLD, "gone", (403, None)),
        (EVE, "team-a", (403, None)),
    ],
)
def test_a_user_has_a_part_in_some_workspaces(
    user: User, name: str, answer: tuple[int, str | None]
) -> None:
    assert ask(user, name) == answer


def test_without_a_name_it_is_the_default_one() -> None:
    assert ask(ADMIN) == ask(ADMIN, "") == ask(OLD) == (200, "default")
    assert ask(ANN) == ask(EVE) == (403, None)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/", 200),
        ("/api/2.0/mlflow/users/current", 200),
        ("/ajax-api/3.0/mlflow/roles/list", 200),
        ("/api/3.0/mlflow/workspaces", 200),
        ("/api/3.0/mlflow/workspaces/team-b", 200),
        ("/api/3.0/mlflow/workspaces-of-others", 403),
        ("/api/2.0/mlflow/users", 200),
        ("/api/2.0/mlflow/runs/users/", 403),
        ("/x/api/3.0/mlflow/workspaces", 403),
        ("/get-artifact", 403),
        ("/graphql", 403),
        ("/v1/traces", 403),
        ("/metrics", 403),
        ("/anything", 403),
    ],
)
def test_who_has_no_part_may_ask_about_users_and_workspaces(path: str, answer: int) -> None:
    assert ask(EVE, path=path)[0] == answer
    # What names one is asked for it, whatever it is about.
    assert ask(EVE, "team-a", path=path) == (403, None)


def test_a_server_says_what_it_is_whatever_is_named() -> None:
    path = "/api/3.0/mlflow/server-info"
    assert ask(EVE, "team-a", path=path) == ask(EVE, "No Name", path=path) == (200, "default")
    assert ask(EVE, "team-a", path=f"/gateway/proxy/x{path}") == (403, None)


@pytest.mark.parametrize("path", ["/health", "/version", "/static-files/main.js"])
def test_nobody_may_ask_by_what_anybody_may_read_whether_there_is_a_workspace(path: str) -> None:
    for user in (None, EVE, ANN, ADMIN):
        told = [ask(user, *names, path=path) for names in ((), ("team-a",), ("none",), ("a", "b"))]
        assert told == [(200, "default")] * 4
    # What else comes without a user has a part in nothing.
    assert ask(None) == ask(None, "team-a") == ask(None, "none") == (403, None)


def test_without_users_everybody_has_a_part_in_all() -> None:
    assert ask(None, "team-b", users=False) == (200, "team-b")
    assert ask(None, users=False) == (200, "default")
    assert ask(None, "none", users=False) == (404, None)


def test_of_two_names_none_is_believed() -> None:
    assert ask(ADMIN, "team-a", "team-b") == ask(ANN, "team-a", "team-a") == (400, None)


def scoped(path: str | None, workspace: str | None, *, sees_all: bool = False) -> Any:
    """Return what MLflow makes of a path in a workspace, or the path that it is not asked for."""
    handlers = SimpleNamespace(_get_workspace_scoped_repo_path_if_enabled=lambda path: ["of", path])
    keep_paths_apart(handlers, lambda: sees_all)
    with ServerWorkspaceContext(workspace) if workspace else nullcontext():
        return handlers._get_workspace_scoped_repo_path_if_enabled(path)


@pytest.mark.parametrize(
    "path",
    [
        "workspaces",
        "workspaces/team-a/1/x",
        "./workspaces/team-a/1/x",
        ".//workspaces/team-a",
        "/workspaces/team-a",
        "workspaces/default/1",
        "trace-archive",
        "./trace-archive/workspaces/team-a/1",
    ],
)
def test_the_default_workspace_reaches_no_other_one_s_artifacts(path: str) -> None:
    with pytest.raises(MlflowException, match="is not in the workspace 'default'"):
        scoped(path, "default")
    # On a stack without workspaces, whose archived spans are there all the same.
    with pytest.raises(MlflowException, match="is an administrator's"):
        scoped(path, None)
    # As a backup does.
    assert scoped(path, None, sees_all=True) == path
    assert scoped(path, "default", sees_all=True) == path
    assert scoped(path, "team-b") == ["of", path]
    assert scoped(path, "team-b", sees_all=True) == ["of", path]


@pytest.mark.parametrize("path", [None, "", "1/run/artifacts/x", "1/workspaces/x", "workspaces2"])
def test_all_else_is_as_mlflow_has_it(path: str | None) -> None:
    assert scoped(path, "default") == scoped(path, "team-b") == ["of", path]
    assert scoped(path, None) == ["of", path]


def test_the_default_workspace_s_artifacts_are_where_they_always_were() -> None:
    class Store:
        artifact_root_uri = "mlflow-artifacts:/"
        own_root: str | None = None

        def _get_artifact_location(self, number: int, workspace: str | None = None) -> str:
            if self.own_root:
                return f"{self.own_root}/{number}"
            return f"mlflow-artifacts:/workspaces/{workspace or 'default'}/{number}"

    keep_places_of_the_default(Store)
    store = Store()
    assert store._get_artifact_location(7) == "mlflow-artifacts:/7"
    assert store._get_artifact_location(7, "team-a") == "mlflow-artifacts:/workspaces/team-a/7"
    store.own_root = "s3://elsewhere"
    assert store._get_artifact_location(7, "default") == "s3://elsewhere/7"
