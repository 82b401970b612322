"""A span has one value, as a client sends it, a server gives it back and PostgreSQL has it.

The server's own way is taken for both: what `/v1/traces` makes of a request, and what it keeps.
"""

import gzip
import json
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from mlflow.entities.span import Span as MlflowSpan
from mlflow.tracing.otel.translation import translate_span_when_storing
from mlflow.tracing.utils import TraceJSONEncoder
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from workloads.history import spans

ATTRIBUTES: dict[str, Any] = {
    "mlflow.spanType": "TOOL",
    "mlflow.spanInputs": {"question": "what is ü?", "top": 3, "p": 0.5, "deep": {"b": 1, "a": [1]}},
    "mlflow.spanOutputs": "no, never",
    "json": '{"a": 1}',
    "twice": json.dumps(json.dumps({"a": "b"})),
    "digits": "17",
    "list": ["a", "b"],
    "nothing": [],
    "int": 2**62,
    "float": 1.0,
    "flag": True,
    "text with a NUL": "a\x00b",
    "bytes": b"\x00\xff",
    "mlflow.traceRequestId": "tr-something-else",
}


def put(value: Any, into: AnyValue) -> None:
    match value:
        case bool():
            into.bool_value = value
        case str():
            into.string_value = value
        case int():
            into.int_value = value
        case float():
            into.double_value = value
        case bytes():
            into.bytes_value = value
        case list():
            into.array_value.SetInParent()
            for one in value:
                put(one, into.array_value.values.add())
        case dict():
            into.kvlist_value.SetInParent()
            for key, one in value.items():
                put(one, into.kvlist_value.values.add(key=key).value)


def a_span(**attributes: Any) -> Span:
    span = Span(
        trace_id=bytes(range(16)),
        span_id=bytes(range(8)),
        parent_span_id=b"parent01",
        name="look up",
        start_time_unix_nano=1_700_000_000_123_456_789,
        end_time_unix_nano=1_700_000_001_000_000_001,
    )
    for key, value in attributes.items():
        put(value, span.attributes.add(key=key).value)
    return span


def stored(span: Span) -> str:
    """What the pinned server writes into `spans.content`."""
    return json.dumps(
        translate_span_when_storing(MlflowSpan.from_otel_proto(span)),
        cls=TraceJSONEncoder,
        ensure_ascii=False,
    )


def shown(span: Span) -> Span:
    """What it answers, when it is asked for the span."""
    answer: Span = MlflowSpan.from_dict(json.loads(stored(span))).to_otel_proto()
    return answer


def failed(span: Span) -> None:
    span.status.code = Status.STATUS_CODE_ERROR
    span.status.message = "no such tool"
    event = span.events.add(name="exception", time_unix_nano=1_700_000_000_500_000_000)
    put("ValueError", event.attributes.add(key="exception.type").value)
    link = span.links.add(trace_id=b"another trace 16", span_id=b"a span 8")
    put(3, link.attributes.add(key="at").value)


def ok(span: Span) -> None:
    span.status.code = Status.STATUS_CODE_OK
    span.status.message = "not kept with this status"


def unfinished_root(span: Span) -> None:
    span.ClearField("end_time_unix_nano")
    span.ClearField("parent_span_id")


def plain(_: Span) -> None:
    pass


@pytest.mark.parametrize("change", [plain, failed, ok, unfinished_root])
def test_one_value_wherever_it_is_read(change: Callable[[Span], None]) -> None:
    span = a_span(**ATTRIBUTES)
    change(span)
    sent = spans.value_of(span)
    assert spans.value_of_content(stored(span)) == sent
    assert spans.value_of(shown(span)) == sent


OTHER_CONVENTIONS: dict[str, Any] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.request.model": "a-model",
    "gen_ai.usage.input_tokens": 12,
    "gen_ai.usage.output_tokens": 5,
    "gen_ai.input.messages": '[{"role": "user", "parts": [{"type": "text", "content": "hi"}]}]',
    "openinference.span.kind": "LLM",
}


@pytest.mark.parametrize("attributes", [{}, {"mlflow.spanType": "UNKNOWN"}])
def test_what_the_server_adds_is_no_difference(attributes: dict[str, Any]) -> None:
    span = a_span(**OTHER_CONVENTIONS, **attributes)
    sent = spans.value_of(span)
    kept = json.loads(stored(span))["attributes"]
    assert "mlflow.chat.tokenUsage" in kept  # it did add some
    assert json.loads(kept["mlflow.spanType"]) not in ("UNKNOWN", None)
    assert spans.value_of_content(stored(span), {sent}) == sent
    assert spans.value_of(shown(span), {sent}) == sent


@pytest.mark.parametrize("key", [key for key in ATTRIBUTES if key != "mlflow.traceRequestId"])
def test_each_attribute_counts(key: str) -> None:
    span, other = a_span(**ATTRIBUTES), a_span(**ATTRIBUTES | {key: "another"})
    sent = spans.value_of(span)
    assert spans.value_of_content(stored(other), {sent}) != sent
    without = a_span(**{k: v for k, v in ATTRIBUTES.items() if k != key})
    assert spans.value_of_content(stored(without), {sent}) != sent


@pytest.mark.parametrize(
    "field",
    [
        {"name": "another"},
        {"parent_span_id": b"parent02"},
        {"start_time_unix_nano": 1_700_000_000_123_456_790},
        {"end_time_unix_nano": 1_700_000_001_000_000_002},
    ],
)
def test_each_part_counts(field: dict[str, Any]) -> None:
    span, other = a_span(), a_span()
    other.MergeFrom(Span(**field))
    assert spans.value_of(other) != spans.value_of(span)
    assert spans.value_of_content(stored(other)) != spans.value_of(span)


def test_of_several_values_that_were_sent_it_is_the_one_that_is_there() -> None:
    first, second = a_span(a=1), a_span(**{"mlflow.spanOutputs": "done"}, a=2)
    sent = [spans.value_of(first), spans.value_of(second)]
    assert spans.value_of_content(stored(first), sent) == sent[0]
    assert spans.value_of_content(stored(second), sent) == sent[1]


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (None, bytes),
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
    ],
)
def test_the_spans_of_an_export(encoding: str | None, pack: Callable[[bytes], bytes]) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().scope_spans.add().spans.append(a_span())
    [one] = spans.exported(pack(request.SerializeToString()), encoding)
    assert (one.trace_id, one.span_id) == (f"tr-{bytes(range(16)).hex()}", bytes(range(8)).hex())


@pytest.mark.parametrize(("body", "encoding"), [(b"\xff\xff", None), (b"x", "gzip"), (b"", "br")])
def test_what_is_no_export(body: bytes, encoding: str | None) -> None:
    with pytest.raises(ValueError, match="no OTLP export"):
        spans.exported(body, encoding)
