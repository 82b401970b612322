"""What is sent on each path beside the load, against a small server that can refuse and swap."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.serving import Handler, serving
from tests.unit.workloads.builders import durability_of, plan
from workloads.checkers import violations
from workloads.checkers.evidence import Evidence
from workloads.history.history import HISTORY, History, Operation, operations
from workloads.history.record import load
from workloads.observation.probe import RUNS, Prober
from workloads.target.probe_paths import ProbePath
from workloads.verdict.result import DurabilityVerdict, Freshness


@dataclass
class Backend:
    """What the server has, and how it answers; `refuse` by the end of a route."""

    artifacts: str = "mlflow-artifacts:/1/r1/artifacts"
    files: dict[str, bytes] = field(default_factory=dict)
    points: list[dict[str, Any]] = field(default_factory=list)
    refuse: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@contextmanager
def tracking(backend: Backend) -> Iterator[str]:
    class Tracking(Handler):
        def respond(self) -> None:
            path = self.path.split("?")[0]
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            backend.asked.append(f"{self.command} {path}")
            for ending, status in backend.refuse.items():
                if path.endswith(ending):
                    return self.answer(status, b"no")
            if path.endswith("runs/create"):
                made = sum(one.endswith("runs/create") for one in backend.asked)
                info = {"run_id": f"r{made}", "artifact_uri": backend.artifacts}
                return self.answer(200, json.dumps({"run": {"info": info}}).encode())
            if path.endswith("log-batch"):
                backend.points += json.loads(body)["metrics"]
            elif self.command == "PUT":
                backend.files[path] = body
            elif "mlflow-artifacts" in path:
                return self.answer(200, backend.files[path])
            return self.answer(200, b"{}")

        do_GET = do_POST = do_PUT = respond

    with serving(Tracking) as address:
        yield address


@contextmanager
def prober(backend: Backend, folder: Path) -> Iterator[Prober]:
    with tracking(backend) as uri:
        made = plan(tracking_uri=uri, target=None, experiment_id="1")
        history = History(folder / HISTORY)
        history.event("plan", plan=made.model_dump(mode="json"))
        yield Prober(made, history)
        history.close()


def probed(folder: Path) -> list[Operation]:
    return list(operations(folder / HISTORY))


def test_each_path_is_probed_and_what_is_written_is_in_the_history(tmp_path: Path) -> None:
    backend = Backend()
    with prober(backend, tmp_path) as one:
        sends = one.prepare()
        assert [send() for send in sends.values()] == [None] * 4
    assert list(sends) == list(ProbePath)
    found = probed(tmp_path)
    assert {one.type for one in found} == {"probe"}
    assert [one.name for one in found] == [
        *["probe: POST runs/create"] * RUNS,
        "probe: PUT artifact",
        "probe: POST runs/log-batch",
        "probe: PUT artifact",
    ]
    assert {one.outcome for one in found} == {"ok"}
    assert found[0].created == "r1"
    assert len(backend.points) == 1
    assert [len(content) for content in backend.files.values()] == [4096, 4096]


def test_probes_are_in_no_figure_of_the_load(tmp_path: Path) -> None:
    with prober(Backend(refuse={"log-batch": 500}), tmp_path) as one:
        one.prepare()[ProbePath.WRITE]()
    record = load(tmp_path / HISTORY)
    assert len(record.operations) == 0
    assert record.errors == []


@pytest.mark.parametrize(("status", "outcome"), [(500, "info"), (403, "fail")])
def test_a_refused_probe_is_told_and_its_write_may_be_there_or_not(
    tmp_path: Path, status: int, outcome: str
) -> None:
    with prober(Backend(refuse={"log-batch": status}), tmp_path) as one:
        error = one.prepare()[ProbePath.WRITE]()
    assert error == f"HTTP {status}"
    assert probed(tmp_path)[-1].outcome == outcome


def test_an_acknowledged_probe_that_is_lost_is_found(tmp_path: Path) -> None:
    """Here nothing was kept of what was acknowledged, and the unknown write is there."""
    backend = Backend()
    with prober(backend, tmp_path) as one:
        sends = one.prepare()
        assert sends[ProbePath.WRITE]() is None
        backend.refuse["log-batch"] = 500
        sends[ProbePath.WRITE]()
    unknown = probed(tmp_path)[-1].writes[0]
    begun = {one.writes[0].key: [one.created] for one in probed(tmp_path)[:RUNS]}
    lines = [
        {"kind": "run", "owner": "1", "items": begun},
        {"kind": "metric point", "owner": "r1", "items": {}},
        {"kind": "metric point", "owner": "r2", "items": {"probe": [unknown.value]}},
    ]
    rest: dict[str, Any] = {"unread": {}, "error": None}
    (tmp_path / "readback.jsonl").write_text(
        "".join(json.dumps(line | rest) + "\n" for line in lines)
    )
    kept = durability_of(tmp_path)
    assert kept.verdict is DurabilityVerdict.FAIL
    points = kept.kinds["metric point"]
    assert (points.acknowledged, points.lost, points.recovered, points.unexpected) == (1, 1, 1, 0)
    assert "by probe: POST runs/log-batch (probe.6)" in kept.findings[0]


def test_a_file_with_other_bytes_is_a_wrong_answer(tmp_path: Path) -> None:
    backend = Backend()
    with prober(backend, tmp_path) as one:
        get = one.prepare()[ProbePath.GET]
        backend.files = dict.fromkeys(backend.files, b"something else")
        assert get() == "wrong content"
    record = load(tmp_path / HISTORY)
    assert record.wrong == [
        "probe: GET artifact: 1.bin in 1/r1/artifacts has other bytes than were stored"
    ]
    kept = durability_of(tmp_path)
    fresh = Freshness(reads=0, stale=0, unexpected=0, max_staleness_s=None, findings=[])
    found = violations.violations(Evidence(record, [], (0, 0), {}, kept, fresh))
    assert any("1 answers were wrong" in fact for fact in found)


@pytest.mark.parametrize(
    ("backend", "paths", "said"),
    [
        (
            Backend(artifacts="s3://bucket/1/r1/artifacts"),
            [ProbePath.READ, ProbePath.WRITE],
            "not probed: put artifact, get artifact: files do not pass through this server, but "
            "go to s3://bucket/1/r1/artifacts",
        ),
        (
            Backend(refuse={"1.bin": 503}),
            [ProbePath.READ, ProbePath.WRITE],
            "not probed: put artifact, get artifact: it takes no file: HTTP 503",
        ),
        (
            Backend(refuse={"runs/create": 500}),
            [ProbePath.READ],
            "not probed: log metrics, put artifact, get artifact: HTTPError: 500 Server Error",
        ),
    ],
)
def test_what_cannot_be_probed_is_told(
    tmp_path: Path, backend: Backend, paths: list[ProbePath], said: str
) -> None:
    with prober(backend, tmp_path) as one:
        assert list(one.prepare()) == paths
    [line] = load(tmp_path / HISTORY).other["not_done"]
    assert line["said"].startswith(said)
