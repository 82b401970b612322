"""A span in the form in which it is compared, whoever gives it.

A client sends it by OTLP, a tracking server gives it back as the same message, and PostgreSQL has
it as JSON (`spans.content`). Its value is a digest of what was sent: `<16 hex digits>-<hex>`.
MLflow adds attributes of its own as it stores a span (inputs, model, token usage … in the words of
other conventions: mlflow/tracing/otel/translation, 3.17). Which of those the client itself had sent
is the second number, a bit for each of `DERIVED`; the others are in no digest.
"""

import gzip
import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

TYPE = "mlflow.spanType"

DERIVED = (
    TYPE,
    "mlflow.spanInputs",
    "mlflow.spanOutputs",
    "mlflow.chat.tokenUsage",
    "mlflow.message.format",
    "mlflow.chat.tools",
    "mlflow.llm.model",
    "mlflow.llm.provider",
    "mlflow.llm.cost",
    "service.name",
)
"""Attributes that a server sets where the client did not."""

REPLACED = "mlflow.traceRequestId"
"""Attribute that the server always sets to the id of the trace."""

_UNSPECIFIED = (None, "UNKNOWN")
"""Types of a span for which a server may put in one that it knows."""


@dataclass(frozen=True)
class Exported:
    """A span of an export, with the resource that it came with."""

    span: Span
    resource: Resource

    @property
    def trace_id(self) -> str:
        """Id that MLflow gives its trace."""
        return f"tr-{self.span.trace_id.hex():0>32}"

    @property
    def span_id(self) -> str:
        """Id of the span."""
        return id_of(self.span)


def id_of(span: Span) -> str:
    """Return the id of a span: 16 hex digits."""
    return f"{span.span_id.hex():0>16}"


def otel_id(trace_id: str) -> int:
    """Number of a trace at OpenTelemetry by its id at MLflow, as `tr-` and 32 hex digits."""
    return int(trace_id.removeprefix("tr-"), 16)


def exported(body: bytes, encoding: str | None) -> list[Exported]:
    """Return the spans of an OTLP request in protobuf; `encoding` is its Content-Encoding.

    Raises `ValueError` for what is none.
    """
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(_inflated(body, encoding))
    except (DecodeError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"no OTLP export: {error}") from None
    return [
        Exported(span, of_resource.resource)
        for of_resource in request.resource_spans
        for of_scope in of_resource.scope_spans
        for span in of_scope.spans
    ]


def _inflated(body: bytes, encoding: str | None) -> bytes:
    match (encoding or "").lower():
        case "":
            return body
        case "gzip":
            return gzip.decompress(body)
        case "deflate":
            try:
                return zlib.decompress(body)
            except zlib.error:  # without a header, as some clients send it
                return zlib.decompress(body, -zlib.MAX_WBITS)
        case other:
            raise ValueError(f"no OTLP export: encoding {other}")


def value_of(span: Span, sent: Collection[str] = ()) -> str:
    """Return the value of a span from OTLP.

    `sent` are values that clients sent for this span; if it is one of them it is that one, else
    what it would be as a client sends it.
    """
    return _value(
        [
            span.name,
            span.parent_span_id.hex() if any(span.parent_span_id) else None,
            span.start_time_unix_nano,
            span.end_time_unix_nano,
            _STATUS.get(span.status.code, "STATUS_CODE_UNSET"),
            span.status.message if span.status.code == Status.STATUS_CODE_ERROR else "",
            [[e.name, e.time_unix_nano, _pairs(e.attributes)] for e in span.events],
            [
                [link.trace_id.hex(), link.span_id.hex(), _pairs(link.attributes, text=True)]
                for link in span.links
            ],
        ],
        {pair.key: any_value(pair.value) for pair in span.attributes},
        sent,
    )


def value_of_content(content: str, sent: Collection[str] = ()) -> str:
    """Return the value of a span from what MLflow keeps in `spans.content`; `sent` as above."""
    kept = json.loads(content)
    status = kept["status"]
    return _value(
        [
            kept["name"],
            b64decode(parent).hex() if (parent := kept.get("parent_span_id")) else None,
            int(kept["start_time_unix_nano"]),
            int(kept.get("end_time_unix_nano") or 0),
            status["code"],
            (status.get("message") or "") if status["code"] == "STATUS_CODE_ERROR" else "",
            [
                [e["name"], int(e["time_unix_nano"]), e.get("attributes") or {}]
                for e in kept.get("events") or []
            ],
            [
                [link["trace_id"].removeprefix("tr-"), link["span_id"], link["attributes"] or {}]
                for link in kept.get("links") or []
            ],
        ],
        {key: _loaded(value) for key, value in kept["attributes"].items()},
        sent,
    )


_STATUS = {
    Status.STATUS_CODE_OK: "STATUS_CODE_OK",
    Status.STATUS_CODE_ERROR: "STATUS_CODE_ERROR",
}


def _value(core: list[Any], attributes: dict[str, Any], sent: Collection[str]) -> str:
    plain = {key: _plain(value) for key, value in attributes.items() if key != REPLACED}
    own = 0
    for bit, key in enumerate(DERIVED):
        if key in plain and not (key == TYPE and plain[key] in _UNSPECIFIED):
            own |= 1 << bit
    for value in sent:
        if _digest(core, plain, mask := int(value.partition("-")[2], 16)) == value:
            return value
    # What was added since is in nobody's digest.
    mask = own & int(next(iter(sent)).partition("-")[2], 16) if sent else own
    return _digest(core, plain, mask)


def _digest(core: list[Any], plain: dict[str, Any], mask: int) -> str:
    left_out = {key for bit, key in enumerate(DERIVED) if not mask >> bit & 1}
    compared = sorted((key, value) for key, value in plain.items() if key not in left_out)
    text = json.dumps([core, compared], sort_keys=True, default=str)
    return f"{blake2b(text.encode(), digest_size=8).hexdigest()}-{mask:x}"


def _pairs(attributes: Iterator[KeyValue] | Any, *, text: bool = False) -> dict[str, Any]:
    """Attributes of an event or a link; with `text`, bytes in base64 as MLflow has them there."""
    found = {pair.key: any_value(pair.value) for pair in attributes}
    if text:
        return {k: b64encode(v).decode() if isinstance(v, bytes) else v for k, v in found.items()}
    return found


def any_value(value: AnyValue) -> Any:
    """Return what an OTLP value holds, in Python's types."""
    match value.WhichOneof("value"):
        case None:
            return None
        case "array_value":
            return [any_value(one) for one in value.array_value.values]
        case "kvlist_value":
            return {pair.key: any_value(pair.value) for pair in value.kvlist_value.values}
        case name:
            return getattr(value, name)


def _loaded(value: Any) -> Any:
    """Return an attribute as it was before MLflow made JSON of it."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value


def _plain(value: Any) -> Any:
    """Return a value without JSON around it: MLflow takes off as many layers as it finds."""
    while isinstance(value, str) and value.lstrip()[:1] in ('"', "{", "["):
        inner = _loaded(value)
        if not isinstance(inner, str | dict | list) or inner == value:
            break
        value = inner
    return value
