"""What is read from the client's requests; bodies as mlflow 3.17 sends them."""

import json
import sys

import pytest

from workloads.history import wire

API = "http://localhost:5000/api/2.0/mlflow"
STORE = "http://localhost:5000/api/2.0/mlflow-artifacts/artifacts"
MPU = "http://localhost:5000/api/2.0/mlflow-artifacts/mpu"
V3 = "http://localhost:5000/api/3.0/mlflow"
HEX = "0123456789abcdef" * 2
TAG_KEY = "DELETE logged-models/{id}/tags/{key}"
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
        ("POST", f"{MPU}/complete/1/r1/artifacts/a", "POST artifacts/mpu/complete"),
        ("DELETE", f"{API}/logged-models/m-0a1b/tags/a%2Fb", TAG_KEY),
        ("PATCH", f"{V3}/traces/tr-{HEX}/tags", "PATCH traces/{id}/tags"),
        ("POST", f"{V3}/traces/tr-{HEX}/assessments", "POST traces/{id}/assessments"),
        ("POST", "http://localhost:5000/v1/traces", "POST v1/traces"),
        ("POST", "https://a.test/team/mlflow/v1/traces", "POST v1/traces"),
        ("DELETE", f"{API}/webhooks/1f0c6d8e-8a52-4a5a-9d0e-000000000000", "DELETE webhooks/{id}"),
        ("POST", f"{API}/runs/delete-tag", "POST runs/delete-tag"),
        ("POST", "https://a.test/team/mlflow/api/2.0/mlflow/runs/create", "POST runs/create"),
    ],
)
def test_names_have_no_ids(method: str, url: str, name: str) -> None:
    assert wire.name(method, wire.route(url)) == name


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


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0.1, 0.1),
        (1e300, 1e300),
        (-5.0, -5.0),
        (1e-7, 1e-7),
        (float("nan"), "NaN"),
        (float("inf"), sys.float_info.max),  # as the server keeps it
        (float("-inf"), -sys.float_info.max),
    ],
)
def test_a_point_is_json(value: float, kept: object) -> None:
    assert wire.point(3, 1700, value) == json.dumps([3, 1700, kept])
