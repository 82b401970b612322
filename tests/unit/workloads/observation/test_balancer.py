"""The load balancer's log by stage and replica."""

import json
from datetime import UTC, datetime

import pytest

from workloads.observation.balancer import summary

NAMES = {"10.0.0.2": "mlflow-a-1", "10.0.1.2": "mlflow-b-1"}
SPANS = [("1 user", 100.0, 110.0), ("2 users", 120.0, 130.0)]


def line(at: float, upstream: str, response: str) -> bytes:
    stamp = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
    return f"{stamp} {json.dumps({'upstream': upstream, 'response': response})}\n".encode()


def test_requests_by_stage_and_replica() -> None:
    lines = [
        line(99.9, "10.0.0.2:5000", "0.500"),  # before
        *(line(100 + n / 10, "10.0.0.2:5000", "0.200") for n in range(50)),
        line(101, "10.0.0.2:5000, 10.0.1.2:5000", "2.000, 0.100"),  # passed on: the last counts
        line(115, "10.0.0.2:5000", "0.500"),  # between
        line(125, "10.0.1.2:5000", "0.300"),
        line(126, "", ""),  # answered by nginx itself
        line(126, "10.9.9.9:5000", "0.300"),  # not a replica of this stack
        b"2026-01-01T00:00:00.000000000Z some words of nginx\n",
    ]
    first, second = summary(lines, SPANS, NAMES)
    assert first["stage"] == "1 user"
    replica = first["replicas"]["mlflow-a-1"]
    assert replica["requests"] == 50
    assert replica["in_flight"] == pytest.approx(1.0)  # 50 times 0.2 s in 10 s
    assert replica["p50_ms"] == replica["p95_ms"] == pytest.approx(200)
    assert first["replicas"]["mlflow-b-1"]["requests"] == 1
    assert first["replicas"]["mlflow-b-1"]["p50_ms"] == pytest.approx(100)
    assert list(second["replicas"]) == ["mlflow-b-1"]
    assert second["replicas"]["mlflow-b-1"]["in_flight"] == pytest.approx(0.03)


def test_no_line_is_no_stage() -> None:
    assert list(summary([], SPANS, NAMES)) == []
