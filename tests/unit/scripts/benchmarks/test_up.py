"""Replicas are asked as they speak."""

from types import SimpleNamespace
from typing import Any

import pytest
import requests

from scripts.benchmarks import up


def test_each_replica_is_asked_in_its_own_way(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str | bool]] = []

    def post(url: str, *, verify: str | bool, **_: Any) -> Any:
        asked.append((url.partition("/api/")[0], verify))
        return SimpleNamespace(raise_for_status=lambda: None)

    def component(name: str, kind: str, **more: str) -> dict[str, str]:
        return {"name": name, "kind": kind, "container": name, "image": "sha256:1", **more}

    monkeypatch.setattr(requests, "post", post)
    components = [
        component("mlflow-a-1", "mlflow", audit="localhost:5001"),
        component("mlflow-b-1", "mlflow", audit="localhost:5002", ca_file="/tmp/inside.pem"),
        component("nginx", "nginx", audit="localhost:5003"),
    ]
    stack: Any = SimpleNamespace(outputs=lambda: {"target": {"components": components}})
    up.every_replica_answers(stack)
    assert asked == [
        ("http://localhost:5001", True),
        ("https://localhost:5002", "/tmp/inside.pem"),
    ]
