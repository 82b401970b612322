"""Spans as OpenTelemetry sends them, without a client that does more than that."""

import gzip

import requests
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

BEGIN_NS = 1_700_000_000_123_456_789


def export(
    uri: str,
    experiment_id: str,
    trace: bytes,
    *spans: tuple[bytes, bytes, int],
    token: str | None = None,
    **attributes: str,
) -> None:
    """Send spans by OTLP, with gzip: id, parent and begin in ms after a moment."""
    request = ExportTraceServiceRequest()
    of_resource = request.resource_spans.add()
    of_resource.resource.attributes.add(key="service.name").value.string_value = "shop"
    scope = of_resource.scope_spans.add()
    for span_id, parent, begin_ms in spans:
        begin = BEGIN_NS + begin_ms * 1_000_000
        span = scope.spans.add(trace_id=trace, span_id=span_id, parent_span_id=parent, name="step")
        span.start_time_unix_nano, span.end_time_unix_nano = begin, begin + 1_000_000
        for key, value in attributes.items():
            span.attributes.add(key=key).value.string_value = value
    requests.post(
        f"{uri}/v1/traces",
        data=gzip.compress(request.SerializeToString()),
        headers={
            "content-type": "application/x-protobuf",
            "Content-Encoding": "gzip",
            "x-mlflow-experiment-id": experiment_id,
            **({"Authorization": f"Bearer {token}"} if token else {}),
        },
        timeout=30,
    ).raise_for_status()
