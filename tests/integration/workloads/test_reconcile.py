"""Doubles: that a lost answer makes one, and that they go while all else stays."""

import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.entities import Feedback, Metric, TraceInfo, TraceLocation, TraceState

from tests import lossy_proxy
from tests.integration.workloads.conftest import Server
from tests.serving import running
from tests.watched import Watched
from workloads.history import history, wire
from workloads.history.history import Kind
from workloads.history.wire import TOKEN_TAG, registered_name
from workloads.load.session import Session
from workloads.readback.reconcile import Double, doubles, reconcile
from workloads.target.target import at
from workloads.verdict.result import DurabilityVerdict, Result

CREATED_BY_JUDGES = (
    "POST traces/{id}/assessments",
    "POST datasets/create",
    "POST model-versions/create",
)


def token(session: Session) -> dict[str, str]:
    return {TOKEN_TAG: session.token()}


ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("listed", "known", "removed"),
    [
        ([("t1", "x1"), ("t2", "x2")], {"x1", "x2"}, []),
        ([("t1", "x1"), ("t1", "x2")], {"x2"}, [("x2", "x1")]),
        ([("t1", "x1"), ("t1", "x2"), ("t1", "x3")], {"x2"}, [("x2", "x1"), ("x2", "x3")]),
        ([("t1", "x1"), ("t1", "x2")], {"x1", "x2"}, []),  # nothing that is known goes
        ([("t1", "x1"), ("t1", "x2")], set(), [("x1", "x2")]),  # nobody knows: one stays
        ([("", "x1"), ("", "x2")], set(), []),  # without a key
    ],
)
def test_what_goes(
    listed: list[tuple[str, str]], known: set[str], removed: list[tuple[str, str]]
) -> None:
    found = list(doubles(Kind.RUN, listed, known))
    assert found == [Double(Kind.RUN, "t1", kept, gone) for kept, gone in removed]


@pytest.fixture
def lossy(server: Server) -> Iterator[str]:
    """Address of the server behind a proxy that loses the first answer to `runs/create`."""
    upstream = server.uri.removeprefix("http://")
    with running(lossy_proxy.server(("127.0.0.1", 0), upstream, "/runs/create", 1)) as address:
        yield address


@pytest.fixture
def forgetful(server: Server) -> Iterator[str]:
    """The same of one that loses the first answer of each route that judges create things by."""
    told: set[str] = set()

    def lose(method: str, path: str, content: bytes) -> bytes | None:
        name = wire.name(method, wire.route(path))
        first = name in CREATED_BY_JUDGES and name not in told
        told.add(name)
        return None if first else content

    upstream = server.uri.removeprefix("http://")
    with running(lossy_proxy.changing(("127.0.0.1", 0), upstream, lose)) as address:
        yield address


def test_what_judges_made_twice_goes_as_well(
    server: Server, forgetful: str, tmp_path: Path
) -> None:
    watched = Watched(tmp_path / "judges", forgetful)
    client = watched.client
    store = client._tracking_client.store
    trace_id = "tr-" + secrets.token_hex(16)
    location = TraceLocation.from_experiment_id(watched.experiment_id)
    with watched.calls() as session:
        store.start_trace(TraceInfo(trace_id, location, 1_700_000_000_000, TraceState.OK))
        made = [
            store.create_assessment(
                Feedback(name="score", value=n, trace_id=trace_id, metadata=token(session))
            )
            for n in range(2)
        ]
        tags = token(session)
        dataset = client.create_dataset("questions", [watched.experiment_id], tags)
        store.upsert_dataset_records(dataset.dataset_id, [{"inputs": {"question": "why?"}}])
        name = registered_name(watched.experiment_id, "p")
        client.create_prompt(name)
        client.create_prompt_version(name, "Why {{question}}?", tags=token(session))
    without = watched.judged(at(server.uri))
    kinds = (Kind.ASSESSMENT, Kind.EVALUATION_DATASET, Kind.VERSION)
    assert [without.kinds[kind].duplicates for kind in kinds] == [1, 1, 1], without.findings

    operations = list(history.operations(watched.history))
    removed = reconcile(server.uri, watched.experiment_id, operations)
    assert sorted(double.kind for double in removed) == sorted(kinds)
    assert {f"{trace_id}/{one.assessment_id}" for one in made} >= {
        double.kept for double in removed if double.kind is Kind.ASSESSMENT
    }
    remedied = watched.judged(at(server.uri))
    assert remedied.verdict is DurabilityVerdict.PASS, remedied.findings
    assert [remedied.kinds[kind].duplicates for kind in kinds] == [0, 0, 0]


def test_a_lost_answer_makes_a_double_and_the_remedy_removes_it(
    server: Server, lossy: str, tmp_path: Path
) -> None:
    watched = Watched(tmp_path / "lost-answer", lossy)
    with watched.calls() as session:
        known = []
        for number in range(3):
            run = watched.create_run(session)
            watched.client.log_batch(run, [Metric("loss", number, 1000, 0)])
            known.append(run)

    without = watched.judged(at(server.uri))
    assert without.verdict is DurabilityVerdict.FAIL
    assert without.kinds["run"].duplicates == 1
    assert sum(sets.lost + sets.unexpected for sets in without.kinds.values()) == 0
    assert len(without.findings) == 1

    # The same as a part of a run, which judges and reports what was done.
    (watched.folder / "readback.jsonl").unlink()
    command = [sys.executable, "-m", "tests.integration.workloads.drive", "reconcile"]
    subprocess.run([*command, server.uri, watched.folder], cwd=ROOT, timeout=120)
    result = Result.model_validate_json((watched.folder / "result.json").read_text())
    remedied = result.durability
    [removed] = remedied.reconciled
    assert re.search(rf"^run \w+, a double of ({'|'.join(known)}), was removed$", removed)
    assert remedied.verdict is DurabilityVerdict.PASS
    assert remedied.kinds["run"].duplicates == 0
    assert remedied.kinds["run"].acknowledged == remedied.kinds["run"].present == 3
    operations = history.operations(watched.history)
    assert reconcile(server.uri, watched.experiment_id, operations) == []
