"""Where archived spans are, and what their files hold."""

import pytest
from mlflow.entities import Span, TraceInfo, TraceLocation, TraceState
from mlflow.tracing.otel.otel_archival import spans_to_traces_data_pb
from opentelemetry.proto.trace.v1.trace_pb2 import Span as Sent

from workloads.history.spans import value_of
from workloads.readback.archive import Archive, values


def info(trace_id: str, **tags: str) -> TraceInfo:
    named = {f"mlflow.trace.{key}": value for key, value in tags.items()}
    place = TraceLocation.from_experiment_id("1")
    return TraceInfo(trace_id, place, 0, TraceState.OK, tags=named)


@pytest.mark.parametrize(
    ("root", "folder", "elsewhere"),
    [
        ("s3://team", "s3://team", "s3://team-2"),
        ("s3://team/mlflow", "s3://team/mlflow", "s3://team"),
        ("/var/lib/artifacts", "file:///var/lib/artifacts", "file:///var/lib/artifacts-2"),
        ("file:///var/lib/artifacts", "file:///var/lib/artifacts", "s3://var/lib/artifacts"),
    ],
)
def test_the_files_of_archived_traces_in_the_store(root: str, folder: str, elsewhere: str) -> None:
    archive = Archive()
    below = "trace-archive/1/traces/tr-1/artifacts"
    archive.note(
        [
            info("tr-1", spansLocation="ARCHIVE_REPO", archiveLocation=f"{folder}/{below}"),
            info("tr-2", spansLocation="ARCHIVE_REPO", archiveLocation=f"{elsewhere}/x"),
            info("tr-3", spansLocation="TRACKING_STORE"),
            info("tr-4"),
        ]
    )
    assert len(archive) == 2
    assert archive.files(root) == {"tr-1": f"{below}/traces.pb"}


def test_spans_of_a_file_have_the_values_that_were_sent() -> None:
    sent = [
        Sent(
            trace_id=bytes(15) + b"1",
            span_id=bytes([n]) * 8,
            name=f"step {n}",
            start_time_unix_nano=10**18 + n,
            end_time_unix_nano=10**18 + 5,
        )
        for n in (1, 2)
    ]
    for one in sent:
        one.attributes.add(key="city").value.string_value = "Ulm"
        one.attributes.add(key="count").value.int_value = 3
    content = spans_to_traces_data_pb([Span.from_otel_proto(one) for one in sent])
    known = {one.span_id.hex(): (value_of(one),) for one in sent}
    assert values(content, known) == {key: list(value) for key, value in known.items()}


def test_a_file_that_is_cut_off_is_none() -> None:
    with pytest.raises(ValueError, match=r"traces\.pb cannot be read"):
        values(b"\x0a\xff", {})
