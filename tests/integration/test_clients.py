"""Real clients of other releases with a real server: what they do, and what they send again."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.benchmarks.clients import Tried, tried
from scripts.shared.client_releases import RELEASES, CannotInstallError, python_of
from scripts.shared.project import ROOT
from tests.integration.workloads.conftest import Server
from tests.integration.workloads.conftest import server as server  # a fixture

OTHER = "3.16.1"
CREATE = "create a run"


def used(release: str, server: Server) -> Tried:
    try:
        python = python_of(release)
    except CannotInstallError as error:
        if release != RELEASES[-1]:  # of the newest one not every registry has all parts
            raise
        pytest.skip(str(error))
    return tried(release, python, server.uri)


@pytest.mark.parametrize(
    "release",
    [
        OTHER,
        *(
            pytest.param(release, marks=pytest.mark.thorough)
            for release in RELEASES
            if release != OTHER
        ),
    ],
)
def test_a_release_works_and_sends_again_what_was_not_done(server: Server, release: str) -> None:
    found = used(release, server)
    missing = {"feedback on a trace", "evaluation data set"} if release < "3" else set()
    assert {
        what: said for what, said in found.does.items() if what not in missing
    } == dict.fromkeys(found.does.keys() - missing, "works")
    assert len(found.does) == 15
    assert found.under[CREATE, "429"] == "call succeeds (429, 200)"
    lost = found.under[CREATE, "lost"]
    if release < "3.18":
        assert lost == "call succeeds, 1 double (lost, 200)"
    else:
        assert lost == "call fails, 1 orphan (lost)"
    assert found.under["log a batch", "lost"] == "call succeeds, 1 point (lost, 200)"


def test_with_the_rule_of_the_next_release_a_lost_answer_leaves_an_orphan(server: Server) -> None:
    found = tried("emulated", Path(sys.executable), server.uri, "--rule-of-3.18")
    assert [found.under[CREATE, fault] for fault in ("429", "502", "503", "lost")] == [
        "call succeeds (429, 200)",
        "call fails (502)",
        "call fails (503)",
        "call fails, 1 orphan (lost)",
    ]
    for fault in ("429", "502", "503", "lost"):
        said = found.under["log a batch", fault]
        assert said == f"call succeeds, 1 point ({fault}, 200)"


@pytest.mark.thorough
@pytest.mark.parametrize("release", ["3.14.0", OTHER])
def test_a_whole_load_by_another_release_is_read_back(
    server: Server, release: str, tmp_path: Path
) -> None:
    """Its speed is this machine's: what counts is that it ran to its end, and all is there."""
    command = [str(python_of(release, workloads=True)), "-m", "workloads", "run"]
    command += ["--url", server.uri]
    command += ["--scenario", "mixed", "--users", "2", "--duration", "5", "--set", "traces=0.3"]
    done = subprocess.run(
        [*command, "--results", tmp_path / "run"], cwd=ROOT, capture_output=True, text=True
    )
    result = json.loads((tmp_path / "run" / "result.json").read_text())
    assert result["plan"]["environment"]["mlflow client"] == release
    assert result["durability"]["verdict"] == "pass", done.stdout[-3000:]
