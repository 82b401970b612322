"""The whole scenario with the real client against a real server, and what it must not miss."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.integration.workloads.conftest import Server
from tests.unit.workloads.builders import target
from workloads.commands.application import main
from workloads.history import history
from workloads.history import record as records
from workloads.history.history import Kind, Operation
from workloads.history.record import Record
from workloads.verdict import figures
from workloads.verdict.result import DurabilityVerdict, Judgement, Result

ROOT = Path(__file__).parents[3]
TRACES = {
    *(Kind.TRACE, Kind.SPAN, Kind.LINK, Kind.ASSESSMENT),
    *(Kind.EVALUATION_DATASET, Kind.RECORD),
}
NOT_TRAINED = {Kind.REGISTERED, Kind.VERSION, Kind.ALIAS, Kind.DELETION, *TRACES}
"""Kinds that trainers do not make."""

MACHINE = {
    "loop lag while a call waits",
    "client CPU in calls",
    "warm-up settled",
    "enough samples",
}
"""Gates that a busy machine fails, whatever this project does."""


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for PATH with a `pulumi` that prints the file named by STACK_OUTPUTS."""
    folder = tmp_path_factory.mktemp("tools")
    (folder / "pulumi").write_text('#!/bin/sh\nexec cat "$STACK_OUTPUTS"\n')
    (folder / "pulumi").chmod(0o755)
    return folder


@contextmanager
def started(uri: str, folder: Path, tools: Path) -> "Iterator[subprocess.Popen[str]]":
    """`python -m workloads run` with the output in one pipe; ended on the way out."""
    outputs = tools / f"{folder.parent.name}.json"
    deployed = target(uri, components=()).model_dump(mode="json")
    outputs.write_text(json.dumps({"target": deployed}))
    command = [sys.executable, "-m", "workloads", "run", "--stack", "local", "--users", "2"]
    process = subprocess.Popen(
        [*command, "--seed", "7", "--results", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={
            **os.environ,
            "PATH": f"{tools}:{os.environ['PATH']}",
            "STACK_OUTPUTS": str(outputs),
            # A setting of a person's shell that would lead every user into one run.
            "MLFLOW_RUN_ID": "0" * 32,
        },
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def result_of(folder: Path) -> Result:
    return Result.model_validate_json((folder / "result.json").read_text())


@pytest.fixture(scope="module")
def folder(server: Server, tools: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results") / "run"
    with started(server.uri, folder, tools) as process:
        output, _ = process.communicate(timeout=400)
    assert "Warning" not in output
    assert "Traceback" not in output
    phases = dict.fromkeys(line.split(" ")[0] for line in output.splitlines()[1:15])
    assert list(phases)[:5] == ["starting", "warm-up", "load", "finishing", "reading"]
    assert output.endswith(f"report: {folder}/report.html\n")
    assert process.returncode == result_of(folder).verdict.judgement.exit_status
    return folder


@pytest.fixture(scope="module")
def record(folder: Path) -> Record:
    return records.load(folder / "history.jsonl")


@pytest.fixture(scope="module")
def operations(folder: Path) -> list[Operation]:
    found = list(history.operations(folder / "history.jsonl"))
    return sorted(found, key=lambda operation: operation.invoked_ns)


def test_the_verdict_is_good(folder: Path) -> None:
    result = result_of(folder)
    assert result.errors == {}
    assert result.durability.verdict is DurabilityVerdict.PASS
    gates = [*result.gates, *(gate for stage in result.stages for gate in stage.gates)]
    assert {gate.name for gate in gates if gate.passed is False} <= MACHINE
    assert result.verdict.judgement is Judgement.GOOD, result.verdict.reasons


def test_every_kind_of_thing_was_written_and_read_back(folder: Path) -> None:
    kinds = result_of(folder).durability.kinds
    assert set(kinds) == {kind.value for kind in set(Kind) - NOT_TRAINED}
    for name, sets in kinds.items():
        assert sets.acknowledged == sets.attempted == sets.present > 0, name


def test_recheck_says_the_same(folder: Path) -> None:
    saved = result_of(folder).verdict.judgement
    assert main(["recheck", str(folder)]) == saved.exit_status


def test_figures_leave_the_warm_up_out(
    record: Record, operations: list[Operation], folder: Path
) -> None:
    all_calls = sum(o.type == "call" for o in operations)
    row = next(r for r in result_of(folder).operations if r.name == figures.ALL_CALLS)
    assert 0 < row.count < all_calls
    [window] = record.windows
    assert row.count == sum(
        o.type == "call" and window.begin_ns <= o.invoked_ns < window.end_ns for o in operations
    )


def test_every_user_logs_every_kind_of_training(operations: list[Operation]) -> None:
    """Autologging keeps its session in one variable of a process: users must not share one."""
    finished = [o for o in operations if o.type == "step" and o.outcome == "ok"]
    assert {(o.user, o.name) for o in finished} == {
        (user, name) for user in (0, 1) for name in ("random_forest", "curves", "linear_regression")
    }
    for step in finished:
        if step.name == "random_forest":
            calls = [o for o in operations if o.step == step.id]
            kinds = {write.kind for call in calls for write in call.writes}
            assert kinds == set(Kind) - NOT_TRAINED - {Kind.LATEST}  # which follows from the points


def test_reading_back_is_no_load(record: Record, operations: list[Operation]) -> None:
    assert all(o.invoked_ns < record.windows[0].end_ns + 20e9 for o in operations)
    assert not any("artifact" in o.name and o.name.startswith("GET") for o in operations)


def test_the_same_seed_does_the_same(operations: list[Operation]) -> None:
    """Steps and the tokens of runs follow from the seed and the user."""
    from random import Random

    for user in (0, 1):
        random = Random(f"7/{user}")
        order = ["random_forest", "curves", "linear_regression"]
        random.shuffle(order)
        done = [o.name for o in operations if o.type == "step" and o.user == user]
        assert done[:3] == order


def test_what_is_lost_behind_the_servers_back_is_found(
    server: Server, folder: Path, operations: list[Operation], tmp_path: Path
) -> None:
    """The control: one artifact, one metric point, one tag and one run are taken away."""
    shutil.copy(folder / "history.jsonl", tmp_path)
    artifact = next((server.artifacts).rglob("coefficients.txt"))
    runs = [o.created for o in operations if o.created and o.writes[0].kind is Kind.RUN]
    run = runs[-1]
    database = sqlite3.connect(server.database, timeout=30)
    with database:
        key, victim, step = database.execute(
            "select key, run_uuid, step from metrics where key = 'loss' and step = 5 limit 1"
        ).fetchone()
        database.execute(
            "delete from metrics where key = ? and run_uuid = ? and step = ?", (key, victim, step)
        )
        database.execute("delete from tags where key = 'team' and run_uuid = ?", (victim,))
        for table in ("latest_metrics", "metrics", "params", "tags", "runs"):
            database.execute(f"delete from {table} where run_uuid = ?", (run,))
    database.close()
    artifact.unlink()

    command = [sys.executable, "-m", "tests.integration.workloads.drive", "read-back"]
    command += [server.uri, str(tmp_path)]
    assert subprocess.run(command, cwd=ROOT, timeout=300).returncode == 1

    result = result_of(tmp_path)
    assert result.verdict.judgement is Judgement.BAD
    kinds = result.durability.kinds
    assert kinds["run"].lost == 1
    findings = "\n".join(result.durability.findings)
    assert f"lost: run {run} " in findings
    assert "lost: artifact coefficients.txt = " in findings
    assert artifact.parent.parent.name in findings
    assert f"of run {victim}" in findings
    assert "lost: metric point loss = [5, " in findings
    assert "lost: tag team = " in findings
    assert sum(sets.unexpected + sets.duplicates for sets in kinds.values()) == 0
    assert main(["recheck", str(tmp_path)]) == 1


def test_an_interrupt_keeps_the_history(server: Server, tools: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    path = folder / "history.jsonl"
    with started(server.uri, folder, tools) as process:
        deadline = time.monotonic() + 120
        while not (path.exists() and '"ok"' in path.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        output, _ = process.communicate(timeout=180)
    assert process.returncode == 130
    last = f"python -m workloads: interrupted; the history is kept in {folder}"
    assert output.splitlines()[-1] == last
    assert "Traceback" not in output
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[-1]["type"] == "interrupted"
    assert list(history.operations(path))
    assert main(["recheck", str(folder)]) == 3


def test_a_server_that_is_away_is_one_line(tools: Path, tmp_path: Path) -> None:
    with started("http://127.0.0.1:9", tmp_path / "run", tools) as process:
        output, _ = process.communicate(timeout=120)
    assert process.returncode == 2
    assert output == (
        "python -m workloads: no tracking server answers at http://127.0.0.1:9 "
        "(ConnectionError): is it up?\n"
    )
    assert not (tmp_path / "run").exists()
