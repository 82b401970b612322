"""What each call wants kept; bodies as mlflow 3.17 sends them, routes as its protocol has them."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.protos import databricks_pb2
from mlflow.protos.mlflow_artifacts_pb2 import MlflowArtifactsService
from mlflow.protos.model_registry_pb2 import ModelRegistryService
from mlflow.protos.service_pb2 import MlflowService
from mlflow.protos.webhooks_pb2 import WebhookService

from workloads.history import effects, wire
from workloads.history.effects import Asked
from workloads.history.history import Kind, Write

STORE = "http://localhost:5000/api/2.0/mlflow-artifacts/artifacts"
METRIC = {"key": "loss", "value": 0.5, "timestamp": 1700000000000, "step": 3}
POINT = "[3, 1700000000000, 0.5]"
NAMED_B = [Write(Kind.FIELD, "r1", "name", "b"), Write(Kind.TAG, "r1", "mlflow.runName", "b")]


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            "runs/create",
            {"experiment_id": "1", "tags": [{"key": wire.TOKEN_TAG, "value": "t1"}]},
            [
                Write(Kind.RUN, "1", "t1", None),
                Write(Kind.STATUS, None, "status", "RUNNING"),
                Write(Kind.FIELD, None, "lifecycle_stage", "active"),
                Write(Kind.TAG, None, wire.TOKEN_TAG, "t1"),
            ],
        ),
        (
            "runs/log-batch",
            {
                "run_id": "r1",
                "params": [{"key": "depth", "value": "6"}],
                "metrics": [METRIC, METRIC | {"value": "NaN"}],
                "tags": [{"key": "team", "value": "a"}],
            },
            [
                Write(Kind.PARAM, "r1", "depth", "6"),
                Write(Kind.METRIC, "r1", "loss", POINT),
                Write(Kind.METRIC, "r1", "loss", '[3, 1700000000000, "NaN"]'),
                Write(Kind.TAG, "r1", "team", "a"),
            ],
        ),
        (
            "runs/log-metric",
            {"run_uuid": "r1", **METRIC},
            [Write(Kind.METRIC, "r1", "loss", POINT)],
        ),
        (
            "runs/log-metric",
            {"run_id": "r1", **METRIC, "model_id": "m-1", "dataset_name": "d"},
            [
                Write(Kind.METRIC, "r1", "loss", POINT),
                Write(Kind.MODEL_METRIC, "m-1", "loss (step 3, 1700000000000 ms, run r1)", "0.5 d"),
            ],
        ),
        (
            "runs/log-parameter",
            {"run_id": "r1", "key": "depth", "value": "6"},
            [Write(Kind.PARAM, "r1", "depth", "6")],
        ),
        (
            "runs/set-tag",
            {"run_id": "r1", "key": "team", "value": "a"},
            [Write(Kind.TAG, "r1", "team", "a")],
        ),
        (
            "runs/update",
            {"run_id": "r1", "status": "FINISHED", "end_time": 1},
            [
                Write(Kind.STATUS, "r1", "status", "FINISHED"),
                Write(Kind.FIELD, "r1", "end_time", "1"),
            ],
        ),
        ("runs/update", {"run_id": "r1", "run_name": "b"}, NAMED_B),
        ("runs/set-tag", {"run_id": "r1", "key": "mlflow.runName", "value": "b"}, NAMED_B),
        ("runs/delete", {"run_id": "r1"}, [Write(Kind.FIELD, "r1", "lifecycle_stage", "deleted")]),
        ("runs/restore", {"run_id": "r1"}, [Write(Kind.FIELD, "r1", "lifecycle_stage", "active")]),
        ("runs/delete-tag", {"run_id": "r1", "key": "a"}, [Write(Kind.TAG, "r1", "a", None)]),
        (
            "experiments/create",
            {"name": "e", "tags": [{"key": "a", "value": "b"}]},
            [Write(Kind.FIELD, None, "name", "e"), Write(Kind.TAG, None, "a", "b")],
        ),
        (
            "experiments/update",
            {"experiment_id": "1", "new_name": "e"},
            [Write(Kind.FIELD, "1", "name", "e")],
        ),
        (
            "experiments/set-experiment-tag",
            {"experiment_id": "1", "key": "a", "value": "b"},
            [Write(Kind.TAG, "1", "a", "b")],
        ),
        (
            "experiments/delete-experiment-tag",
            {"experiment_id": "1", "key": "a"},
            [Write(Kind.TAG, "1", "a", None)],
        ),
        (
            "registered-models/set-tag",
            {"name": "churn", "key": "a", "value": "b"},
            [Write(Kind.TAG, "churn", "a", "b")],
        ),
        (
            "logged-models/m-0a1b/params",
            {"model_id": "m-0a1b", "params": [{"key": "depth", "value": "6"}]},
            [Write(Kind.PARAM, "m-0a1b", "depth", "6")],
        ),
        (
            "runs/log-inputs",
            {"run_id": "r1", "datasets": [{"dataset": {"name": "d", "digest": "ab"}}]},
            [Write(Kind.DATASET, "r1", "d", "ab")],
        ),
        (
            "runs/outputs",
            {"run_id": "r1", "models": [{"model_id": "m-1", "step": 0}]},
            [Write(Kind.OUTPUT, "r1", "m-1", "0")],
        ),
        (
            "logged-models",
            {
                "experiment_id": "1",
                "name": "model",
                "source_run_id": "r1",
                "params": [{"key": "depth", "value": "6"}],
                "tags": [{"key": "team", "value": "a"}],
            },
            [
                Write(Kind.MODEL, "1", "r1/model", None),
                Write(Kind.STATUS, None, "status", "PENDING"),
                Write(Kind.PARAM, None, "depth", "6"),
                Write(Kind.TAG, None, "team", "a"),
            ],
        ),
        (
            "runs/create",
            {"experiment_id": "1", "run_name": "first", "start_time": 5, "user_id": "me"},
            [
                Write(Kind.RUN, "1", "", None),
                Write(Kind.STATUS, None, "status", "RUNNING"),
                Write(Kind.FIELD, None, "lifecycle_stage", "active"),
                Write(Kind.FIELD, None, "start_time", "5"),
                Write(Kind.FIELD, None, "user_id", "me"),
                Write(Kind.FIELD, None, "name", "first"),
                Write(Kind.TAG, None, "mlflow.runName", "first"),
            ],
        ),
        (
            "registered-models/create",
            {"name": "churn", "tags": [{"key": "team", "value": "a"}], "description": "d"},
            [
                Write(Kind.REGISTERED, "registry", "churn", "churn"),
                Write(Kind.FIELD, "churn", "description", "d"),
                Write(Kind.TAG, "churn", "team", "a"),
            ],
        ),
        (
            "model-versions/create",
            {"name": "churn", "source": "s", "tags": [{"key": wire.TOKEN_TAG, "value": "t1"}]},
            [
                Write(Kind.VERSION, "churn", "t1", None),
                Write(Kind.FIELD, None, "source", "s"),
                Write(Kind.TAG, None, wire.TOKEN_TAG, "t1"),
            ],
        ),
        (
            "registered-models/alias",
            {"name": "churn", "alias": "champion", "version": "3"},
            [Write(Kind.ALIAS, "churn", "champion", "3")],
        ),
        (
            "model-versions/set-tag",
            {"name": "churn", "version": "3", "key": "stage", "value": "tested"},
            [Write(Kind.TAG, "churn/3", "stage", "tested")],
        ),
        ("runs/search", {"experiment_ids": ["1"]}, []),
        ("mlflow-artifacts/mpu/create/1/r1/artifacts/a", {}, []),
    ],
)
def test_what_a_post_wants_kept(path: str, body: dict[str, Any], expected: list[Write]) -> None:
    got = effects.asked("POST", path, body, None)
    assert got == Asked(expected)


def test_a_model_that_is_ready() -> None:
    body = {"model_id": "m-0a1b", "status": "LOGGED_MODEL_READY"}
    got = effects.asked("PATCH", "logged-models/m-0a1b", body, None)
    assert got.writes == [Write(Kind.STATUS, "m-0a1b", "status", "READY")]


@pytest.mark.parametrize(("root", "owner"), [("1/r1", "r1"), ("1/models/m-0a1b", "m-0a1b")])
def test_an_artifact_by_its_content(root: str, owner: str, tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"content")
    path = wire.route(f"{STORE}/{root}/artifacts/a/b%20c.txt")
    digest = hashlib.sha256(b"content").hexdigest()
    with (tmp_path / "c.txt").open("rb") as data:
        got = effects.asked("PUT", path, {}, data)
        assert data.read() == b"content"
    assert got.writes == [Write(Kind.ARTIFACT, owner, "a/b c.txt", digest)]


def test_reading_wants_nothing_kept() -> None:
    assert effects.asked("GET", "runs/get", {}, None) == Asked()


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        (
            "PATCH",
            "registered-models/update",
            {"name": "churn", "description": "d"},
            [Write(Kind.FIELD, "churn", "description", "d")],
        ),
        (
            "PATCH",
            "model-versions/update",
            {"name": "churn", "version": "3", "description": ""},
            [Write(Kind.FIELD, "churn/3", "description", None)],  # as none is shown
        ),
        (
            "DELETE",
            "registered-models/delete",
            {"name": "churn"},
            [
                Write(Kind.DELETION, "churn", "", None),
                Write(Kind.REGISTERED, "registry", "churn", None),
            ],
        ),
        (
            "POST",
            "registered-models/rename",
            {"name": "churn", "new_name": "flow"},
            [
                Write(Kind.DELETION, "churn", "", None),
                Write(Kind.REGISTERED, "registry", "churn", None),
                Write(Kind.REGISTERED, "registry", "flow", "flow"),
                Write(Kind.DELETION, "flow", "renamed", None),
            ],
        ),
        (
            "DELETE",
            "model-versions/delete",
            {"name": "churn", "version": "3"},
            [Write(Kind.DELETION, "churn/3", "", None)],
        ),
        ("DELETE", "logged-models/m-0a1b", {}, [Write(Kind.DELETION, "m-0a1b", "", None)]),
        (
            "DELETE",
            "registered-models/alias",
            {"name": "churn", "alias": "champion"},
            [Write(Kind.ALIAS, "churn", "champion", None)],
        ),
        (
            "DELETE",
            "registered-models/delete-tag",
            {"name": "churn", "key": "a"},
            [Write(Kind.TAG, "churn", "a", None)],
        ),
        (
            "DELETE",
            "model-versions/delete-tag",
            {"name": "churn", "version": "3", "key": "a"},
            [Write(Kind.TAG, "churn/3", "a", None)],
        ),
        (
            "PATCH",
            "logged-models/m-0a1b/tags",
            {"model_id": "m-0a1b", "tags": [{"key": "a", "value": "b"}]},
            [Write(Kind.TAG, "m-0a1b", "a", "b")],
        ),
        ("DELETE", "logged-models/m-0a1b/tags/a/b", {}, [Write(Kind.TAG, "m-0a1b", "a/b", None)]),
    ],
)
def test_what_is_changed_and_removed(
    method: str, path: str, body: dict[str, Any], expected: list[Write]
) -> None:
    assert effects.asked(method, path, body, None).writes == expected


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("traces", {"experiment_id": "1"}, ["POST traces: experiment_id"]),
        ("v1/traces", {}, ["POST v1/traces: not protobuf"]),
        (
            "registered-models/rename",
            {"name": "churn", "new_name": "flow"},
            ["POST registered-models/rename: what the model has"],
        ),
        ("some/new-route", {"name": "a"}, ["POST some/new-route"]),
        (
            "runs/log-inputs",
            {"run_id": "r1", "datasets": [], "models": [{"model_id": "m-1"}]},
            ["POST runs/log-inputs: models"],
        ),
        ("runs/create", {"experiment_id": "1", "color": "red"}, ["POST runs/create: color"]),
        ("mlflow-artifacts/mpu/complete/1/r1/artifacts/a", {}, ["POST artifacts/mpu/complete"]),
    ],
)
def test_what_nobody_audits_is_named(path: str, body: dict[str, Any], said: list[str]) -> None:
    got = effects.asked("POST", path, body, None)
    assert got.not_audited == said
    assert got.changes


AUDITED = """
    POST experiments/create
    POST experiments/update
    POST experiments/set-experiment-tag
    POST experiments/delete-experiment-tag
    POST runs/create
    POST runs/update
    POST runs/delete
    POST runs/restore
    POST runs/log-metric
    POST runs/log-parameter
    POST runs/log-batch
    POST runs/log-inputs
    POST runs/outputs
    POST runs/set-tag
    POST runs/delete-tag
    POST logged-models
    PATCH logged-models/{id}
    DELETE logged-models/{id}
    PATCH logged-models/{id}/tags
    DELETE logged-models/{id}/tags/{key}
    POST logged-models/{id}/params
    POST registered-models/create
    POST registered-models/rename
    PATCH registered-models/update
    DELETE registered-models/delete
    POST registered-models/set-tag
    DELETE registered-models/delete-tag
    POST registered-models/alias
    DELETE registered-models/alias
    POST model-versions/create
    PATCH model-versions/update
    DELETE model-versions/delete
    POST model-versions/set-tag
    DELETE model-versions/delete-tag
    POST traces
    POST traces/delete-traces
    POST traces/link-to-run
    PATCH traces/{id}
    DELETE traces/{id}/tags
    PATCH traces/{id}/tags
    PUT artifact
    POST traces/link-prompts
    POST traces/{id}/assessments
    PATCH traces/{id}/assessments/{id}
    DELETE traces/{id}/assessments/{id}
    POST datasets/create
    DELETE datasets/{id}
    PATCH datasets/{id}/tags
    DELETE datasets/{id}/tags/{key}
    POST datasets/{id}/records
"""

NOT_AUDITED = """
    POST experiments/delete
    POST experiments/restore
    POST runs/log-model
    POST workspaces
    PATCH workspaces/{id}
    DELETE workspaces/{id}
    POST issues
    PATCH issues/{id}
    POST label-schemas/create
    PATCH label-schemas/update
    DELETE label-schemas/delete
    POST scorers/register
    DELETE scorers/delete
    DELETE datasets/{id}/records
    POST datasets/{id}/add-experiments
    POST datasets/{id}/remove-experiments
    POST gateway/secrets/create
    POST gateway/secrets/update
    DELETE gateway/secrets/delete
    POST gateway/endpoints/create
    POST gateway/endpoints/update
    DELETE gateway/endpoints/delete
    POST gateway/model-definitions/create
    POST gateway/model-definitions/update
    DELETE gateway/model-definitions/delete
    POST gateway/endpoints/models/attach
    POST gateway/endpoints/models/detach
    POST gateway/endpoints/bindings/create
    DELETE gateway/endpoints/bindings/delete
    POST gateway/endpoints/set-tag
    DELETE gateway/endpoints/delete-tag
    POST gateway/budgets/create
    POST gateway/budgets/update
    DELETE gateway/budgets/delete
    POST gateway/guardrails/create
    DELETE gateway/guardrails/delete
    POST gateway/guardrails/add-to-endpoint
    DELETE gateway/guardrails/remove-from-endpoint
    PATCH gateway/guardrails/update-config
    POST prompt-optimization/jobs
    POST prompt-optimization/jobs/{id}/cancel
    DELETE prompt-optimization/jobs/{id}
    POST review-queues/create
    POST review-queues/get-or-create-user
    POST review-queues/update
    POST review-queues/delete
    POST review-queues/items/add
    POST review-queues/items/remove
    POST review-queues/items/set-status
    POST model-versions/transition-stage
    DELETE artifact
    POST artifacts/mpu/complete
    POST webhooks
    PATCH webhooks/{id}
    DELETE webhooks/{id}
"""


def _routes() -> Iterator[tuple[str, str]]:
    """Yield method and path of every call of the pinned MLflow's protocol."""
    for service in (MlflowService, ModelRegistryService, MlflowArtifactsService, WebhookService):
        for method in service.DESCRIPTOR.methods:
            for endpoint in method.GetOptions().Extensions[databricks_pb2.rpc].endpoints:
                path = endpoint.path.lstrip("/").removeprefix("mlflow/")
                path = path.replace("<path:artifact_path>", "1/r1/artifacts/a")
                path = path.replace("{model_id}", "m-0a1b").replace("{tag_key}", "k")
                parts = ["0123456789abcdef" if "{" in p else p for p in path.split("/")]
                yield endpoint.method, "/".join(parts)


ANY = {
    "run_id": "r1",
    "experiment_id": "1",
    "name": "n",
    "new_name": "m",
    "run_name": "n",
    "version": "1",
    "alias": "a",
    "description": "d",
    "status": "LOGGED_MODEL_READY",
    "tags": [{"key": "a", "value": "b"}],
    "params": [{"key": "a", "value": "b"}],
    "datasets": [{"dataset": {"name": "d", "digest": "ab"}}],
    "models": [{"model_id": "m-1"}],
    "trace_id": "tr-1",
    "trace_ids": ["tr-1"],
    "request_ids": ["tr-1"],
    "prompt_versions": [{"name": "greet", "version": "1"}],
    "trace": {
        "trace_info": {
            "trace_id": "tr-1",
            "trace_location": {"mlflow_experiment": {"experiment_id": "1"}},
        }
    },
    **METRIC,
}
"""A body with everything that some route requires."""

OF_ROUTE: dict[str, dict[str, Any]] = {
    "POST datasets/create": {"tags": '{"a": "b"}'},
    "PATCH datasets/{id}/tags": {"tags": '{"a": "b"}'},
    "POST datasets/{id}/records": {"records": '[{"inputs": {"a": 1}}]'},
    "POST traces/link-prompts": {
        "trace_id": "tr-1",
        "prompt_versions": [{"name": "p", "version": "1"}],
    },
    "POST traces/{id}/assessments": {"assessment": {"feedback": {"value": 1}}},
    "PATCH traces/{id}/assessments/{id}": {"assessment": {}, "update_mask": "feedback"},
}
"""What else, or otherwise, a route requires."""


def test_every_route_of_the_pinned_mlflow_is_a_read_or_audited_or_counted() -> None:
    sorts: dict[str, set[str]] = {"read": set(), "audited": set(), "not audited": set()}
    for method, path in _routes():
        body = ANY | OF_ROUTE.get(wire.name(method, path), {})
        got = effects.asked(method, path, body, b"")
        sort = "audited" if got.writes else "not audited" if got.changes else "read"
        sorts[sort].add(wire.name(method, path))
    assert sorts["audited"] == {line.strip() for line in AUDITED.split("\n") if line.strip()}
    assert sorts["not audited"] == {line.strip() for line in NOT_AUDITED.split("\n")} - {""}
    assert {n for n in sorts["read"] if not n.startswith("GET ")} == effects.READ_BY_POST
