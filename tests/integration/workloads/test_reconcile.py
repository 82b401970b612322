"""Doubles: that a lost answer makes one, and that they go while all else stays."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.entities import Metric

from tests import lossy_proxy
from tests.integration.workloads.conftest import Server
from tests.serving import running
from tests.watched import Watched
from workloads.history import history
from workloads.history.history import Kind
from workloads.readback.reconcile import Double, doubles, reconcile
from workloads.target.target import at
from workloads.verdict.result import DurabilityVerdict, Result

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
