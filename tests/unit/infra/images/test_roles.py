"""Which workspace a request about roles is judged by."""

# mypy: allow-untyped-calls

from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from mlflow.exceptions import MlflowException

from infra.images.mlflow.stores.mlflow_bench_stores.roles import refuse_several_roles


def judged(method: str, query: str = "", body: Any = None) -> str | None:
    auth = SimpleNamespace(_get_role_workspace_from_request=lambda: "team-a")
    refuse_several_roles(auth)
    with Flask("roles").test_request_context(f"/{query}", method=method, json=body):
        found: str | None = auth._get_role_workspace_from_request()
    return found


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("POST", "", {"role_id": 1, "name": "x", "workspace": "team-b"}),
        ("PATCH", "", {"role_id": 1, "role_permission_id": 4, "permission": "MANAGE"}),
        ("DELETE", "", {"role_id": 1, "role_permission_id": 4}),
        ("DELETE", "?role_id=1&role_permission_id=4", None),
        ("GET", "?role_id=1&workspace=team-b", None),
        ("DELETE", "?role_id=1", {"role_permission_id": 4}),
        ("POST", "", {"role_id": None, "workspace": "team-b"}),
    ],
)
def test_a_request_that_says_it_twice_is_refused(method: str, query: str, body: Any) -> None:
    with pytest.raises(MlflowException, match="give one of them") as refused:
        judged(method, query, body)
    assert refused.value.get_http_status_code() == 400


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("POST", "", {"name": "x", "workspace": "team-a", "description": "y"}),
        ("PATCH", "", {"role_permission_id": 4, "permission": "MANAGE"}),
        ("DELETE", "", {"role_id": 1, "username": "ann"}),
        ("GET", "?role_id=1", None),
        ("POST", "", ["role_id", "workspace"]),
    ],
)
def test_what_says_it_once_is_mlflow_s_to_judge(method: str, query: str, body: Any) -> None:
    assert judged(method, query, body) == "team-a"
