"""Traces are read through a server that cannot read all of them."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import requests
from mlflow.entities import TraceInfo, TraceLocation, TraceState

from workloads.history.history import Appender, Kind, lines
from workloads.readback import traces
from workloads.readback.archive import Archive
from workloads.readback.attempted import Attempted
from workloads.readback.lines import Lines

DAMAGED = ["tr-1", "tr-2"]


def answered(status: int, content: Any) -> requests.Response:
    answer = requests.Response()
    answer.status_code = status
    answer._content = json.dumps(content).encode()
    return answer


def test_a_trace_that_the_server_cannot_read_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "PAUSE_S", 0)
    asked: list[str] = []

    def get(path: str, **options: Any) -> requests.Response:
        # The client has 7 attempts at what is in here, and 4 minutes.
        assert 500 not in options["retry_codes"]
        name = options["params"].get("trace_id", "all")
        asked.append(name)
        if name == "all" or name in DAMAGED:
            return answered(500, {"message": "Trace data is corrupted"})
        return answered(200, {"trace": {}})

    place = TraceLocation.from_experiment_id("1")
    tags = {"mlflow.trace.spansLocation": "ARCHIVE_REPO"}
    known = [
        TraceInfo(f"tr-{n}", place, 0, TraceState.OK, tags=tags) for n in range(traces.READERS)
    ]
    listing: Any = SimpleNamespace(experiment_id="1", traces=lambda _: iter(known))
    out = Appender(tmp_path / "readback.jsonl")
    reader = traces.Traces(listing, get, Attempted([]), Archive(), Lines(out, "address"))
    reader.read()
    out.close()

    spans = [one for one in lines(tmp_path / "readback.jsonl") if one["kind"] == Kind.SPAN]
    assert sorted(one["owner"] for one in spans) == [info.trace_id for info in known]
    assert [one["owner"] for one in spans if one["error"]] == DAMAGED
    assert asked.count("tr-1") == traces.ATTEMPTS
    assert asked.count("tr-0") == 1
