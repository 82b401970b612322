"""What is read from the client's requests; bodies as mlflow 3.17 sends them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from workloads import wire
from workloads.history import Kind, Write

API = "http://localhost:5000/api/2.0/mlflow"
STORE = "http://localhost:5000/api/2.0/mlflow-artifacts/artifacts"
METRIC = {"key": "loss", "value": 0.5, "timestamp": 1700000000000, "step": 3}
POINT = "[3, 1700000000000, 0.5]"


@pytest.mark.parametrize(
    ("method", "url", "name"),
    [
        ("POST", f"{API}/runs/log-batch", "POST runs/log-batch"),
        ("GET", f"{API}/runs/get?run_id=1", "GET runs/get"),
        ("GET", f"{API}/logged-models/m-0a1b", "GET logged-models/{id}"),
        ("PATCH", f"{API}/logged-models/m-0a1b/tags", "PATCH logged-models/{id}/tags"),
        ("PUT", f"{STORE}/1/r1/artifacts/a/b%20c.txt", "PUT artifact"),
        ("GET", f"{STORE}?path=1/r1/artifacts", "GET artifacts"),
    ],
)
def test_names_have_no_ids(method: str, url: str, name: str) -> None:
    assert wire.name(method, wire.route(url)) == name


@pytest.mark.parametrize(
    ("path", "body", "expected"),
    [
        (
            "runs/create",
            {"experiment_id": "1", "tags": [{"key": wire.TOKEN_TAG, "value": "t1"}]},
            [
                Write(Kind.RUN, "1", "t1", None),
                Write(Kind.STATUS, None, "status", "RUNNING"),
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
            [Write(Kind.STATUS, "r1", "status", "FINISHED")],
        ),
        ("runs/update", {"run_id": "r1", "end_time": 1}, []),
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
            {"experiment_id": "1", "run_name": "first"},
            [
                Write(Kind.RUN, "1", "", None),
                Write(Kind.STATUS, None, "status", "RUNNING"),
                Write(Kind.TAG, None, "mlflow.runName", "first"),
            ],
        ),
        (
            "registered-models/create",
            {"name": "churn", "tags": [{"key": "team", "value": "a"}]},
            [
                Write(Kind.REGISTERED, "registry", "churn", "churn"),
                Write(Kind.TAG, "churn", "team", "a"),
            ],
        ),
        (
            "model-versions/create",
            {"name": "churn", "source": "s", "tags": [{"key": wire.TOKEN_TAG, "value": "t1"}]},
            [
                Write(Kind.VERSION, "churn", "t1", None),
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
    ],
)
def test_what_a_post_wants_kept(path: str, body: dict[str, Any], expected: list[Write]) -> None:
    assert wire.writes("POST", path, body, None) == expected


def test_a_model_that_is_ready() -> None:
    body = {"model_id": "m-0a1b", "status": "LOGGED_MODEL_READY"}
    got = wire.writes("PATCH", "logged-models/m-0a1b", body, None)
    assert got == [Write(Kind.STATUS, "m-0a1b", "status", "READY")]


@pytest.mark.parametrize(("root", "owner"), [("1/r1", "r1"), ("1/models/m-0a1b", "m-0a1b")])
def test_an_artifact_by_its_content(root: str, owner: str, tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_bytes(b"content")
    path = wire.route(f"{STORE}/{root}/artifacts/a/b%20c.txt")
    digest = hashlib.sha256(b"content").hexdigest()
    with (tmp_path / "c.txt").open("rb") as data:
        got = wire.writes("PUT", path, {}, data)
        assert data.read() == b"content"
    assert got == [Write(Kind.ARTIFACT, owner, "a/b c.txt", digest)]


def test_reading_wants_nothing_kept() -> None:
    assert wire.writes("GET", "runs/get", {}, None) == []


@pytest.mark.parametrize(
    ("path", "answer", "expected"),
    [
        ("runs/create", {"run": {"info": {"run_id": "r1"}}}, "r1"),
        ("logged-models", {"model": {"info": {"model_id": "m-1"}}}, "m-1"),
        ("runs/log-batch", {}, None),
    ],
)
def test_ids_that_the_server_chose(path: str, answer: object, expected: str | None) -> None:
    assert wire.created(path, json.dumps(answer).encode()) == expected


def test_the_version_that_a_call_made() -> None:
    answer = json.dumps({"model_version": {"name": "churn", "version": "3"}}).encode()
    assert wire.created("model-versions/create", answer) == "churn/3"
