"""Rows of the backend store that hold a trace, exactly as the server writes them.

Tables and columns are those of MLflow's own models (mlflow/store/tracking/dbmodels), at the
revisions of the schema that are named here. The server's order of writing: `start_trace`, then
`log_spans`, as the client's exporter calls them.
"""

from collections.abc import Iterator
from datetime import UTC, datetime

from workloads.filling.facts import MS_PER_DAY, PROVIDER
from workloads.filling.traces import Trace

REVISIONS = {"dc11669786a5": "3.17"}
"""Revisions of the schema whose rows these are, each with its release of MLflow."""

Value = str | int | float | None

COLUMNS: dict[str, tuple[str, ...]] = {
    "trace_info": (
        *("request_id", "experiment_id", "timestamp_ms", "execution_time_ms", "status"),
        *("client_request_id", "request_preview", "response_preview", "db_payload_generation"),
        *("trace_name", "session_id", "input_tokens", "output_tokens", "total_tokens"),
        *("input_cost", "output_cost", "total_cost"),
    ),
    "trace_tags": ("key", "value", "request_id"),
    "trace_request_metadata": ("key", "value", "request_id"),
    "spans": (
        *("trace_id", "experiment_id", "span_id", "parent_span_id", "name", "type", "status"),
        *("start_time_unix_nano", "end_time_unix_nano", "content"),
        *("input_cost", "output_cost", "total_cost", "model_name", "model_provider"),
    ),
}
"""Tables in the order in which they can be written, with the columns that are not left empty."""

_COLUMNS_ONLY = frozenset({"mlflow.trace.session", "mlflow.trace.tokenUsage", "mlflow.trace.cost"})
"""Metadata that the server keeps as columns of `trace_info`, and not as metadata."""


def rows(
    trace: Trace, experiment_id: str, artifact_location: str
) -> Iterator[tuple[str, tuple[Value, ...]]]:
    """Yield the table and the row of all that a trace is, in the order of `COLUMNS`."""
    yield (
        "trace_info",
        (
            *(trace.id, int(experiment_id), trace.began_ms, trace.duration_ms, trace.state),
            # Spans were written once since the trace was made.
            *(trace.request_id, trace.request, trace.response, 1),
            *(trace.name, trace.session),
            *(trace.tokens[key] for key in ("input_tokens", "output_tokens", "total_tokens")),
            *(trace.cost.input, trace.cost.output, trace.cost.total),
        ),
    )
    place = f"{artifact_location.rstrip('/')}/traces/{trace.id}/artifacts"
    tags = trace.tags | {
        "mlflow.artifactLocation": place,
        "mlflow.trace.spansLocation": "TRACKING_STORE",
    }
    for key, value in tags.items():
        yield "trace_tags", (key, value, trace.id)
    metadata = trace.metadata | {"mlflow.trace.infoFinalized": "true"}
    for key, value in sorted(metadata.items()):
        if key not in _COLUMNS_ONLY:
            yield "trace_request_metadata", (key, value, trace.id)
    for span in trace.spans:
        cost = span.cost
        yield (
            "spans",
            (
                *(trace.id, int(experiment_id), span.id, span.parent, span.name, span.type),
                *(span.status, span.start_ns, span.end_ns, span.content),
                *((cost.input, cost.output, cost.total) if cost else (None, None, None)),
                *(span.model, PROVIDER if span.model else None),
            ),
        )


ROLLUP_FAMILIES = ("assessment", "span_cost", "trace_metric")


def rebuilds(began_ms: list[int], experiment_id: str, now_ms: int) -> set[tuple[Value, ...]]:
    """Rows of the rollups' rebuild queue: days of writes that are older than a day.

    A server writes them only with rollups enabled.
    """
    days = {
        datetime.fromtimestamp(at // MS_PER_DAY * 86_400, UTC).date().isoformat()
        for at in began_ms
        if at <= now_ms - MS_PER_DAY
    }
    return {(int(experiment_id), day, family) for day in days for family in ROLLUP_FAMILIES}


def copied(row: tuple[Value, ...]) -> str:
    """A row in the text format of PostgreSQL's COPY."""
    return "\t".join(map(_field, row)) + "\n"


def _field(value: Value) -> str:
    if value is None:
        return "\\N"
    if not isinstance(value, str):
        return repr(value)
    if "\\" in value:  # first, as the others write it; `translate` takes three times as long
        value = value.replace("\\", "\\\\")
    return value.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
