"""Traces sent by the real client's store, as its exporter sends them."""

import json

from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState
from mlflow.store.tracking.rest_store import RestStore
from mlflow.tracing.client import TracingClient

from workloads.filling.traces import Trace


def store(tracking_uri: str) -> RestStore:
    """Return what the client's traces go through."""
    found = TracingClient(tracking_uri).store
    assert isinstance(found, RestStore), found
    return found


def info(trace: Trace, experiment_id: str) -> TraceInfo:
    """The trace without its spans, as a client knows it."""
    return TraceInfo(
        trace_id=trace.id,
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=trace.began_ms,
        state=TraceState(trace.state),
        request_preview=trace.request,
        response_preview=trace.response,
        client_request_id=trace.request_id,
        execution_duration=trace.duration_ms,
        trace_metadata=dict(trace.metadata),
        tags=trace.tags | {"mlflow.traceName": trace.name},
    )


def send(to: RestStore, trace: Trace, experiment_id: str) -> None:
    """Send a trace with its spans, in two calls."""
    to.start_trace(info(trace, experiment_id))
    spans = [Span.from_dict(json.loads(span.content)) for span in trace.spans]
    to.log_spans(experiment_id, spans)
