"""What the calls that clients make for traces ask the server to keep.

A trace reaches MLflow in pieces, in any order: its spans by OTLP, of which the server makes the
trace if there is none, and what is known of the whole by `POST traces`. What the server derives
from spans as they come (state, times, previews, token usage) is nobody's write.
Rules: `_log_spans_once` and `_start_trace_once` in mlflow/store/tracking/sqlalchemy_store.py, 3.17.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
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

NAME_TAG = "mlflow.traceName"
"""Tag that the server keeps as the trace's name."""

SESSION = "mlflow.trace.session"
"""Metadata that the server keeps as the trace's session."""

_MADE_ANEW = frozenset({"mlflow.trace.tokenUsage", "mlflow.trace.cost"})
"""Metadata that the server takes apart, adds up from spans, and puts together again."""

_TAG_KEY = re.compile(r"[/\w.\- :]{1,250}")
"""Keys of tags that a server takes; others that come with spans it leaves out."""


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
    for pair in next((r for one in own if (r := one.resource.attributes)), ()):
        if not pair.key.startswith(("telemetry.sdk.", "mlflow.")):
            value = spans.any_value(pair.value)
            tags[pair.key] = value if isinstance(value, str) else json.dumps(value, default=str)
    for one in own:
        for pair in one.span.attributes if _is_root(one) else ():
            if pair.key.startswith(_TAG_PREFIX):
                tags[pair.key.removeprefix(_TAG_PREFIX)] = str(spans.any_value(pair.value))
    return {key: value for key, value in tags.items() if _TAG_KEY.fullmatch(key)}


def of_start(info: Body) -> Iterator[Write]:
    """Yield what a trace's info asks for, as `POST traces` has it (its third version)."""
    trace_id = info["trace_id"]
    experiment = info["trace_location"]["mlflow_experiment"]["experiment_id"]
    yield Write(Kind.TRACE, experiment, trace_id, trace_id)
    if at := info.get("request_time"):
        yield Write(Kind.FIELD, trace_id, "request_time", _milliseconds(at))
    for key in ("client_request_id", "request_preview", "response_preview"):
        if info.get(key):
            yield Write(Kind.FIELD, trace_id, key, info[key])
    yield from _ended(trace_id, info.get("state"))
    yield from _more(trace_id, info.get("trace_metadata", {}), info.get("tags", {}))


def of_end(trace_id: str, body: Body) -> Iterator[Write]:
    """Yield what `PATCH traces/{id}` asks for, by which older clients end a trace."""
    yield from _ended(trace_id, body.get("status"))
    yield from _more(trace_id, _dict(body.get("request_metadata")), _dict(body.get("tags")))


def _dict(pairs: Iterable[Body] | None) -> dict[str, str]:
    return {pair["key"]: pair.get("value", "") for pair in pairs or ()}


def _ended(trace_id: str, state: str | None) -> Iterator[Write]:
    """The state of a trace that goes on is that of its root, as soon as that comes."""
    if state in ("OK", "ERROR"):
        yield Write(Kind.FIELD, trace_id, "state", state)


def _more(trace_id: str, metadata: dict[str, str], tags: dict[str, str]) -> Iterator[Write]:
    for key, value in kept_metadata(metadata).items():
        yield Write(Kind.FIELD, trace_id, key, value)
    for key, value in tags.items():
        yield Write(Kind.TAG, trace_id, key, tag(value))


def of_deletion(body: Body) -> Iterator[Write]:
    """Yield what a deletion by ids asks for; which traces one by time takes nobody knows."""
    if not body.get("max_timestamp_millis") and not body.get("max_traces"):
        for trace_id in body.get("request_ids", []):
            yield Write(Kind.DELETION, trace_id, "", None)
            yield Write(Kind.TRACE, body["experiment_id"], trace_id, None)


def is_trace(owner: str) -> bool:
    """Whether an id is that of a trace, and not of what belongs to it."""
    return owner.startswith("tr-") and "/" not in owner


def kept_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return metadata as fields in the form in which they are compared; empty ones are none."""
    return {
        f"metadata.{key[:MOST_METADATA]}": value[:MOST_METADATA]
        for key, value in metadata.items()
        if value and key not in _MADE_ANEW
    }


def tag(value: str) -> str:
    """Value of a trace's tag as it is compared."""
    return value[:MOST_TAG]


def _milliseconds(at: str) -> str:
    moment = Timestamp()
    moment.FromJsonString(at)
    return str(moment.ToMilliseconds())
