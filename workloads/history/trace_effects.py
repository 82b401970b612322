"""What the calls that clients make for traces ask the server to keep.

A trace reaches MLflow in pieces, in any order: its spans by OTLP, of which the server makes the
trace if there is none, and what is known of the whole by `POST traces`. What the server derives
from spans as they come (state, times, previews, token usage) is nobody's write.
Rules: `_log_spans_once` and `_start_trace_once` in mlflow/store/tracking/sqlalchemy_store.py, 3.17.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp  # type: ignore[import-untyped]

from workloads.history import spans
from workloads.history.history import Kind, Write
from workloads.history.spans import Exported

Body = dict[str, Any]

EXPORT = "POST v1/traces"
"""Name of an OTLP export."""

EXPERIMENT_HEADER = "x-mlflow-experiment-id"
RUN_HEADER = "x-mlflow-run-id"

MOST_METADATA = 250
"""Characters of a key and a value of metadata that a server shows."""

MOST_TAG = 4096
"""Characters of a tag's value that a server shows; it keeps more of those that are set later."""

LINKED = "linked"
"""Value of a link that is there."""

_TAG_PREFIX = "mlflow.traceTag."
"""Attributes of a root span that become tags of the trace."""

_TOKENS = "mlflow.trace.tokenUsage"
_COST = "mlflow.trace.cost"


def of_export(body: bytes, headers: Mapping[str, str]) -> Iterator[Write]:
    """Yield what an OTLP export in protobuf asks for; `headers` in lower case.

    Raises `ValueError` for what is none, `KeyError` without the experiment's header.
    """
    experiment = headers[EXPERIMENT_HEADER]
    by_trace: dict[str, list[Exported]] = {}
    for one in spans.exported(body, headers.get("content-encoding")):
        by_trace.setdefault(one.trace_id, []).append(one)
    for trace_id, own in by_trace.items():
        yield Write(Kind.TRACE, experiment, trace_id, trace_id)
        for one in own:
            yield Write(Kind.SPAN, trace_id, one.span_id, spans.value_of(one.span))
        begin_ms = min(one.span.start_time_unix_nano for one in own) // 1_000_000
        yield Write(Kind.FIELD, trace_id, "request_time", str(begin_ms))
        for key, value in _tags_of(own).items():
            yield Write(Kind.TAG, trace_id, key, tag(value))
        run = headers.get(RUN_HEADER)
        if run and any(_is_root(one) for one in own):
            yield Write(Kind.LINK, run, trace_id, LINKED)


def _is_root(one: Exported) -> bool:
    return not any(one.span.parent_span_id)


def _tags_of(own: list[Exported]) -> dict[str, str]:
    """Tags that a trace gets by its spans: from their resource and from its root."""
    tags: dict[str, str] = {}
    for one in own:
        if one.resource.attributes:
            for pair in one.resource.attributes:
                if not pair.key.startswith(("telemetry.sdk.", "mlflow.")):
                    value = spans.any_value(pair.value)
                    tags[pair.key] = value if isinstance(value, str) else json.dumps(value)
            break
    for one in own:
        if _is_root(one):
            for pair in one.span.attributes:
                if pair.key.startswith(_TAG_PREFIX):
                    value = spans.any_value(pair.value)
                    tags[pair.key.removeprefix(_TAG_PREFIX)] = str(value)
    return tags


def of_start(info: Body) -> Iterator[Write]:
    """Yield what a trace's info asks for, as `POST traces` has it (its third version)."""
    trace_id = info["trace_id"]
    experiment = info["trace_location"]["mlflow_experiment"]["experiment_id"]
    yield Write(Kind.TRACE, experiment, trace_id, trace_id)
    # The state of a trace that goes on is that of its root, as soon as that comes.
    if info.get("state") in ("OK", "ERROR"):
        yield Write(Kind.FIELD, trace_id, "state", info["state"])
    if at := info.get("request_time"):
        yield Write(Kind.FIELD, trace_id, "request_time", _milliseconds(at))
    for key in ("client_request_id", "request_preview", "response_preview"):
        if info.get(key):
            yield Write(Kind.FIELD, trace_id, key, info[key])
    for key, value in info.get("trace_metadata", {}).items():
        yield Write(Kind.FIELD, trace_id, *metadata(key, value))
    for key, value in info.get("tags", {}).items():
        yield Write(Kind.TAG, trace_id, key, tag(value))


def metadata(key: str, value: str) -> tuple[str, str]:
    """Key and value of metadata as they are compared.

    The server keeps token usage and cost as numbers, and makes JSON of them again.
    """
    if key in (_TOKENS, _COST):
        with suppress(ValueError):
            value = json.dumps(json.loads(value), sort_keys=True)
    return f"metadata.{key[:MOST_METADATA]}", value[:MOST_METADATA]


def tag(value: str) -> str:
    """Value of a trace's tag as it is compared."""
    return value[:MOST_TAG]


def _milliseconds(at: str) -> str:
    moment = Timestamp()
    moment.FromJsonString(at)
    return str(moment.ToMilliseconds())
