"""What a stack does with its traces as they grow older, switched on while it is up."""

import random
import time
import zlib
from collections.abc import Iterator
from typing import Any

import docker
import pytest
import requests
from mlflow import MlflowClient
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from infra.components.traces import ARCHIVE_FOLDER
from tests.e2e.artifacts import Bucket
from tests.e2e.database import ask
from tests.e2e.stack import Stack, end, eventually, new_stack

pytestmark = pytest.mark.e2e

PREFIX = "mlflow-bench-e2e-traces-"
REPLICAS = ("mlflow-a-1", "mlflow-b-1")
LAYOUT = {"zones": 2, "artifacts": "s3"}
KEYS = {
    "trace_archival": "12h",
    "trace_retention": "10d",
    "trace_rollups": "true",
    "trace_rollup_schedule": "* * * * *",
}
MINUTE = 60
DAY = 24 * 60 * MINUTE
AGES = {"new": 0, "an hour": 60 * MINUTE, "three days": 3 * DAY, "eleven days": 11 * DAY}
"""Seconds since the traces of each kind began; three of each."""

JOBS_SECONDS = 150
"""More than two passes of the jobs."""


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    stack = new_stack("e2e-traces", tmp_path_factory.mktemp("traces"))
    stack.configure(**LAYOUT)
    try:
        stack.up()
        yield stack
    finally:
        end(stack, docker_client)


def send(uri: str, age: float, *, spans: int = 4) -> str:
    """Send a trace that began `age` seconds ago; return its id."""
    start = time.time_ns() - int(age * 1e9)
    chance = random.Random(start)
    request = ExportTraceServiceRequest()
    scope = request.resource_spans.add().scope_spans.add()
    trace, root = chance.randbytes(16), chance.randbytes(8)
    for number in range(spans):
        span = scope.spans.add(
            trace_id=trace,
            span_id=chance.randbytes(8) if number else root,
            parent_span_id=root if number else b"",
            name=f"step {number}",
            start_time_unix_nano=start + number,
            end_time_unix_nano=start + 1_000_000 * (number + chance.randrange(1, 9)),
        )
        attribute = span.attributes.add(key="text")
        attribute.value.string_value = chance.randbytes(40).hex()
    answer = requests.post(
        f"{uri}/v1/traces",
        data=request.SerializeToString(),
        headers={"Content-Type": "application/x-protobuf", "x-mlflow-experiment-id": "0"},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return f"tr-{trace.hex()}"


def read(uri: str, trace: str) -> list[dict[str, Any]]:
    """Return the spans of a trace, as one server has them."""
    spans = MlflowClient(uri).get_trace(trace).data.spans
    return sorted((span.to_dict() for span in spans), key=lambda span: str(span["span_id"]))


def counts(uri: str) -> list[int]:
    """Return the traces of each of the last five days that has any."""
    return [int(one["values"]["COUNT"]) for one in figures(uri, "trace_count", "COUNT")]


def figures(uri: str, metric: str, *kinds: str) -> list[dict[str, Any]]:
    """Return what a dashboard shows of the last five days."""
    now = int(time.time())
    answer = requests.post(
        f"{uri}/api/3.0/mlflow/traces/metrics",
        json={
            "experiment_ids": ["0"],
            "view_type": "TRACES",
            "metric_name": metric,
            "aggregations": [{"aggregation_type": kind} for kind in kinds],
            "time_interval_seconds": DAY,
            "start_time_ms": (now - 5 * DAY) // DAY * DAY * 1000,
            # What was sent in this very second is among them.
            "end_time_ms": (now + 1) * 1000,
        },
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    points: list[dict[str, Any]] = answer.json()["data_points"]
    return points


def shown_by(uri: str) -> list[Any]:
    """Return the figures that have to be the same with rollups."""
    return [figures(uri, "trace_count", "COUNT"), figures(uri, "latency", "AVG", "MIN", "MAX")]


def contents(outputs: dict[str, Any], traces: list[str]) -> set[str]:
    """Return those of `traces` whose spans the database has."""
    found = ask(
        outputs,
        "SELECT DISTINCT trace_id FROM spans WHERE content <> '' AND trace_id = ANY(%s)",
        traces,
    )
    return {trace for (trace,) in found}


def archived(outputs: dict[str, Any]) -> set[str]:
    """Return the keys of the archive in the bucket."""
    return set(Bucket(outputs).objects(f"{ARCHIVE_FOLDER}/"))


def test_traces_as_they_grow_older(stack: Stack, docker_client: docker.DockerClient) -> None:
    outputs = stack.outputs()
    uri = outputs["tracking_uri"]
    sent = {kind: [send(uri, age + n) for n in range(3)] for kind, age in AGES.items()}
    before = {trace: read(uri, trace) for traces in sent.values() for trace in traces}
    assert all(len(spans) == 4 for spans in before.values())
    shown = shown_by(uri)
    assert counts(uri) in ([3, 6], [3, 3, 3])

    stack.configure(**LAYOUT, **KEYS)
    stack.up()
    outputs = stack.outputs()
    audit = {one["name"]: one["audit"] for one in outputs["target"]["components"]}
    assert "trace-jobs" in audit
    everywhere = [f"http://{audit[replica]}" for replica in REPLICAS]

    # Retention removes what is older, and nothing else.
    kept = [trace for kind in ("new", "an hour", "three days") for trace in sent[kind]]
    young = sent["new"] + sent["an hour"]
    eventually(lambda: contents(outputs, list(before)) == set(young), JOBS_SECONDS)
    there = {trace for (trace,) in ask(outputs, "SELECT request_id FROM trace_info")}
    assert there == set(kept)

    # What is archived is in the bucket, and every replica still reads it.
    assert archived(outputs) == {
        f"{ARCHIVE_FOLDER}/0/traces/{trace}/artifacts/traces.pb" for trace in sent["three days"]
    }
    for replica in everywhere:
        assert {trace: read(replica, trace) for trace in kept} == {
            trace: before[trace] for trace in kept
        }

    # Rollups give the same answers, and are where the answers come from.
    rolled = "SELECT 1 FROM sql_trace_metric_daily_rollups"
    eventually(lambda: ask(outputs, rolled), JOBS_SECONDS)
    assert [shown_by(replica) for replica in everywhere] == [shown, shown]
    count = (
        "UPDATE sql_trace_metric_daily_rollups SET sample_count = sample_count + %s "
        "WHERE metric_name = 'trace_count'"
    )
    ask(outputs, count, 1)
    assert [counts(replica)[0] for replica in everywhere] == [4, 4]
    ask(outputs, count, -1)

    stack.configure(**LAYOUT)
    stack.up()
    outputs = stack.outputs()
    assert "trace-jobs" not in {one["name"] for one in outputs["target"]["components"]}
    assert "trace-jobs" not in str(stack.left(docker_client))
    assert ask(outputs, rolled) == []
    assert shown_by(uri) == shown
    assert {trace: read(uri, trace) for trace in kept} == {trace: before[trace] for trace in kept}


@pytest.mark.parametrize(("size", "encoding"), [(40 << 20, "identity"), (1 << 30, "gzip")])
def test_bodies_that_are_too_large_are_refused_and_not_kept(
    stack: Stack, docker_client: docker.DockerClient, size: int, encoding: str
) -> None:
    """As it comes through nginx, which passes it on in pieces."""
    uri = stack.outputs()["tracking_uri"]
    compress = zlib.compressobj(wbits=31)
    body = (
        b"".join(compress.compress(bytes(1 << 20)) for _ in range(size >> 20)) + compress.flush()
        if encoding == "gzip"
        else bytes(size)
    )
    headers = {
        "Content-Type": "application/x-protobuf",
        "Content-Encoding": encoding,
        "x-mlflow-experiment-id": "0",
    }
    answer = requests.post(f"{uri}/v1/traces", data=body, headers=headers, timeout=60)
    assert answer.status_code == 413, answer.text
    assert "more than 33554432 bytes" in answer.json()["message"]
    for replica in REPLICAS:
        usage: Any = docker_client.containers.get(PREFIX + replica).stats(stream=False)
        assert usage["memory_stats"]["usage"] < 900 << 20
