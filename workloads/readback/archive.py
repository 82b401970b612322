"""Spans of archived traces, as the artifact store has them.

MLflow moves the spans of a trace that is old enough into one file of the artifact store,
`TracesData` of OTLP, and says in a tag of the trace where that is
(mlflow/tracing/otel/otel_archival.py, 3.17).
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from mlflow.entities import TraceInfo
from opentelemetry.proto.trace.v1.trace_pb2 import TracesData

from workloads.history import spans

STATE_TAG = "mlflow.trace.spansLocation"
"""Tag that says where a trace's spans are."""

ARCHIVED = "ARCHIVE_REPO"
"""Its value for those in the artifact store."""

LOCATION_TAG = "mlflow.trace.archiveLocation"
"""Tag with the folder that the file is in, as `s3://mlflow/trace-archive/1/traces/tr-…/artifacts`."""

FILE = "traces.pb"


class Archive:
    """Which traces are archived and where, as servers say."""

    def __init__(self) -> None:
        self._locations: dict[str, str] = {}

    def note(self, infos: Iterable[TraceInfo]) -> None:
        """Take in what one server knows of traces."""
        for info in infos:
            if info.tags.get(STATE_TAG) == ARCHIVED:
                self._locations[info.trace_id] = info.tags.get(LOCATION_TAG, "")

    def __len__(self) -> int:
        return len(self._locations)

    def files(self, root: str) -> dict[str, str]:
        """Return the path of each trace's file below the store's URI, by trace.

        What is archived in another place is left out.
        """
        scheme, host, base = _place(root)
        found = {}
        for trace_id, location in sorted(self._locations.items()):
            of_scheme, of_host, path = _place(location)
            if (of_scheme, of_host) == (scheme, host) and path.startswith(f"{base}/"):
                found[trace_id] = f"{path.removeprefix(f'{base}/')}/{FILE}"
        return found


def _place(uri: str) -> tuple[str, str, str]:
    parts = urlsplit(uri)
    return parts.scheme or "file", parts.netloc, parts.path.rstrip("/")


def values(content: bytes, sent: Mapping[str, tuple[str, ...]]) -> dict[str, list[str]]:
    """Return the values of the spans of a file by their ids; `sent`: those that clients sent.

    Raises `ValueError` for what is no such file.
    """
    data = TracesData()
    try:
        data.ParseFromString(content)
    except DecodeError as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from None
    found: dict[str, list[str]] = defaultdict(list)
    for of_resource in data.resource_spans:
        for of_scope in of_resource.scope_spans:
            for span in of_scope.spans:
                span_id = spans.id_of(span)
                found[span_id].append(spans.value_of(span, sent.get(span_id, ())))
    return found
