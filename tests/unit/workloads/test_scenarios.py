"""Scenarios by URL against a real tracking server: what they log is kept, and what they find is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.workloads.conftest import Server
from workloads import history
from workloads.__main__ import main
from workloads.history import Kind
from workloads.result import DurabilityVerdict, Result
from workloads.scenarios import SCENARIOS

ROOT = Path(__file__).parents[3]


def run(server: Server, folder: Path, scenario: str, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "workloads", "run", "--url", server.uri, "--users", "2"]
    command += ["--scenario", scenario, "--results", str(folder), "--duration", "3", *arguments]
    temporary = folder.with_name(f"{folder.name}.tmp")
    temporary.mkdir()
    done = subprocess.run(
        command,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        env=os.environ | {"MLFLOW_TRACKING_TOKEN": "s3cret", "TMPDIR": str(temporary)},
    )
    assert "Traceback" not in done.stdout
    assert list(temporary.iterdir()) == []
    return done.returncode, done.stdout


@pytest.fixture(scope="module")
def mixed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("mixed") / "run"
    status, output = run(server, folder, "mixed", "--set", "sizes_kib=1")
    assert status == result_of(folder).verdict.judgement.exit_status
    return folder, output


def result_of(folder: Path) -> Result:
    return Result.model_validate_json((folder / "result.json").read_text())


def test_a_team_loses_nothing(mixed: tuple[Path, str]) -> None:
    result = result_of(mixed[0])
    assert result.errors == {}
    assert result.durability.verdict is DurabilityVerdict.PASS, result.durability
    kept = result.durability.kinds
    for kind in (Kind.RUN, Kind.METRIC, Kind.PARAM, Kind.TAG, Kind.STATUS):
        assert kept[kind.value].acknowledged == kept[kind.value].present > 0


def test_a_url_says_what_it_does_not_show(mixed: tuple[Path, str]) -> None:
    folder, output = mixed
    result = result_of(folder)
    assert result.plan.target is None
    assert result.bottleneck is None
    assert any(said.startswith("components were not looked at") for said in result.not_done)
    assert "not done: components were not looked at: no stack is known" in output
    assert "What could not be done here" in (folder / "report.html").read_text()
    gate = next(gate for gate in result.gates if gate.name == "no server process restarted")
    assert gate.passed is None


def test_no_file_of_a_run_has_the_token(mixed: tuple[Path, str]) -> None:
    folder, output = mixed
    assert "s3cret" not in output
    assert [path for path in folder.iterdir() if "s3cret" in path.read_text()] == []


def test_recheck_says_the_same(mixed: tuple[Path, str], tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(mixed[0], folder)
    saved = (folder / "result.json").read_text()
    status = main(["recheck", "--write", str(folder)])
    assert status == result_of(folder).verdict.judgement.exit_status
    assert (folder / "result.json").read_text() == saved


def test_users_are_numbered_once_over_all_processes(mixed: tuple[Path, str]) -> None:
    users = {o.user for o in history.operations(mixed[0] / "history.jsonl")}
    assert users == {0, 1}


def test_searches_find_what_is_known_to_be_there(server: Server, tmp_path: Path) -> None:
    status, output = run(server, tmp_path / "run", "search", "--set", "runs=110")
    result = result_of(tmp_path / "run")
    assert status == result.verdict.judgement.exit_status
    assert result.errors == {}
    steps = [row for row in result.operations if row.type == "step"]
    assert len(steps) == 4
    assert all(row.count > 0 and row.errors == 0 for row in steps)
    assert "setting up" in output

    # The control: with one run more, and one other score, the answers are wrong and found to be.
    from mlflow import MlflowClient

    client = MlflowClient(server.uri)
    experiment = client.get_experiment_by_name("mlflow-bench search, 110 runs")
    assert experiment
    for made in client.search_runs([experiment.experiment_id], "params.model = 'forest'"):
        client.delete_run(made.info.run_id)
    status, _ = run(server, tmp_path / "wrong", "search", "--set", "runs=110")
    assert status == 1
    reason = result_of(tmp_path / "wrong").verdict.reasons[0]
    assert "steps failed although their calls did not" in reason


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_every_scenario_has_both_profiles_and_objectives(scenario: object) -> None:
    from workloads.scenarios.scenario import Scenario

    assert isinstance(scenario, Scenario)
    assert set(scenario.profiles) == set(scenario.objectives) == {"quick", "full"}
    assert set(scenario.parameters) in (set(), {"quick", "full"})
    assert scenario.computes <= (not scenario.can_be_open)


@pytest.mark.parametrize(
    ("via", "said"),
    [
        ("presigned", "this server signs no URLs"),
        ("direct", "has no S3 service whose keys are known"),
        ("pigeon", "Input should be 'server', 'presigned' or 'direct'"),
    ],
)
def test_files_take_no_way_that_is_not_there(
    server: Server, tmp_path: Path, via: str, said: str
) -> None:
    status, output = run(server, tmp_path / "run", "artifacts", "--set", f"via={via}")
    assert status == 2
    assert said in output
    assert not (tmp_path / "run").exists()
