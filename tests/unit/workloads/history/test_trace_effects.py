"""What is sent for traces; bodies as mlflow 3.17 and OpenTelemetry's exporter send them."""

import gzip
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from workloads.history import effects
from workloads.history.history import Kind, Write

TRACE_ID = "tr-" + "0123456789abcdef" * 2
HEADERS = {
    "Content-Type": "application/x-protobuf",
    "Content-Encoding": "gzip",
    "X-MLflow-Experiment-Id": b"7",
}


def an_export(*parents: bytes) -> bytes:
    """A trace with a span for each parent, which begin at 5, 6 … ms; of a service `shop`."""
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    for key, value in (("service.name", "shop"), ("telemetry.sdk.name", "otel"), ("a|b", "no key")):
        of_resource.resource.attributes.add(key=key).value.string_value = value
    scope = of_resource.scope_spans.add()
    for number, parent in enumerate(parents, 1):
        span = scope.spans.add(trace_id=bytes.fromhex(TRACE_ID[3:]), parent_span_id=parent)
        span.span_id, span.name = number.to_bytes(8, "big"), "step"
        span.start_time_unix_nano = (4 + number) * 1_000_000
        span.attributes.add(key="mlflow.traceTag.team").value.string_value = f"team {number}"
    return gzip.compress(request.SerializeToString())


def asked(body: bytes, **headers: Any) -> effects.Asked:
    return effects.asked("POST", "v1/traces", {}, body, HEADERS | headers)


def test_an_export_makes_its_trace_with_spans_and_tags() -> None:
    got = asked(an_export(b"", (1).to_bytes(8, "big")))
    assert got.not_audited == []
    span_ids = [write.key for write in got.writes if write.kind is Kind.SPAN]
    assert span_ids == ["0000000000000001", "0000000000000002"]
    others = [write for write in got.writes if write.kind is not Kind.SPAN]
    assert others == [
        Write(Kind.TRACE, "7", TRACE_ID, TRACE_ID),
        Write(Kind.FIELD, TRACE_ID, "request_time", "5"),
        Write(Kind.TAG, TRACE_ID, "service.name", "shop"),
        Write(Kind.TAG, TRACE_ID, "team", "team 1"),
    ]


def test_a_root_is_linked_to_the_run_of_the_header() -> None:
    link = Write(Kind.LINK, "r1", TRACE_ID, "linked")
    assert link in asked(an_export(b""), **{"x-mlflow-run-id": "r1"}).writes
    assert link not in asked(an_export(b"a parent"), **{"x-mlflow-run-id": "r1"}).writes


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"Content-Type": "application/json"}, "POST v1/traces: not protobuf"),
        ({"Content-Encoding": "br"}, "POST v1/traces: not an export"),
        ({"X-MLflow-Experiment-Id": None}, "POST v1/traces: not an export"),
    ],
)
def test_what_is_no_export_that_can_be_read_is_counted(headers: dict[str, Any], said: str) -> None:
    assert asked(an_export(b""), **headers).not_audited == [said]


INFO = {
    "trace_id": TRACE_ID,
    "trace_location": {"mlflow_experiment": {"experiment_id": "7"}},
    "request_time": "2023-11-14T22:13:20.123Z",
    "execution_duration": "1.234s",
    "state": "OK",
    "request_preview": "hi",
    "client_request_id": "c1",
    "trace_metadata": {
        "mlflow.trace.session": "s1",
        "mlflow.trace.tokenUsage": "{}",
        "branch": "",
        "long": "x" * 300,
    },
    "tags": {"mlflow.traceName": "agent", "long": "x" * 5000},
}


def test_what_the_server_keeps_of_a_trace_as_it_was_sent() -> None:
    got = effects.asked("POST", "traces", {"trace": {"trace_info": INFO}}, None)
    assert got.not_audited == []
    assert got.writes == [
        Write(Kind.TRACE, "7", TRACE_ID, TRACE_ID),
        Write(Kind.FIELD, TRACE_ID, "request_time", "1700000000123"),
        Write(Kind.FIELD, TRACE_ID, "client_request_id", "c1"),
        Write(Kind.FIELD, TRACE_ID, "request_preview", "hi"),
        Write(Kind.FIELD, TRACE_ID, "state", "OK"),
        Write(Kind.FIELD, TRACE_ID, "metadata.mlflow.trace.session", "s1"),
        Write(Kind.FIELD, TRACE_ID, "metadata.long", "x" * 250),
        Write(Kind.TAG, TRACE_ID, "mlflow.traceName", "agent"),
        Write(Kind.TAG, TRACE_ID, "long", "x" * 4096),
    ]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"),
    [
        (
            "PATCH",
            f"traces/{TRACE_ID}",
            {"status": "ERROR", "tags": [{"key": "a", "value": "b"}]},
            [Write(Kind.FIELD, TRACE_ID, "state", "ERROR"), Write(Kind.TAG, TRACE_ID, "a", "b")],
        ),
        (
            "PATCH",
            f"traces/{TRACE_ID}/tags",
            {"key": "a", "value": "b"},
            [Write(Kind.TAG, TRACE_ID, "a", "b")],
        ),
        (
            "DELETE",
            f"traces/{TRACE_ID}/tags",
            {"key": "a"},
            [Write(Kind.TAG, TRACE_ID, "a", None)],
        ),
        (
            "POST",
            "traces/link-to-run",
            {"run_id": "r1", "trace_ids": [TRACE_ID]},
            [Write(Kind.LINK, "r1", TRACE_ID, "linked")],
        ),
        (
            "POST",
            "traces/delete-traces",
            {"experiment_id": "7", "request_ids": [TRACE_ID]},
            [Write(Kind.DELETION, TRACE_ID, "", None), Write(Kind.TRACE, "7", TRACE_ID, None)],
        ),
    ],
)
def test_what_is_changed_later(
    method: str, path: str, body: dict[str, Any], expected: list[Write]
) -> None:
    got = effects.asked(method, path, body, None)
    assert (got.writes, got.not_audited) == (expected, [])


def test_a_deletion_by_time_is_counted() -> None:
    body = {"experiment_id": "7", "max_timestamp_millis": 5}
    got = effects.asked("POST", "traces/delete-traces", body, None)
    assert (got.writes, got.not_audited) == (
        [],
        ["POST traces/delete-traces: max_timestamp_millis"],
    )
