"""The order of a benchmark: what is removed when, and which exit status counts."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import benchmark, deployed, deploying
from scripts.prepare import pins, ui
from scripts.status import Status, status_of, worst


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ([0, 0], Status.GOOD),
        ([0, 3], Status.INVALID),
        ([3, 1, 0], Status.BAD),
        ([1, 2, 3], Status.COULD_NOT_RUN),
        ([], Status.COULD_NOT_RUN),
    ],
)
def test_the_worst_status_counts(codes: list[int], status: Status) -> None:
    assert worst(map(Status, codes)) is status


@pytest.mark.parametrize(("code", "status"), [(3, Status.INVALID), (-9, 2), (137, 2)])
def test_a_workload_that_died_could_not_run(code: int, status: int) -> None:
    assert status_of(code) == status


def test_an_unknown_stack_is_one_line_before_anything_else() -> None:
    bench = str(pins.ROOT / "scripts" / "bench")
    done = subprocess.run([bench, "local", "lcoal"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no stack lcoal in stacks/; there is: " in line


class Engine:
    """Stands in for `pulumi`: records its verbs, and fails or is interrupted where told to."""

    def __init__(self) -> None:
        self.verbs: list[str] = []
        self.fails: set[str] = set()
        self.interrupted: set[str] = set()

    def __call__(self, stack: str, verb: str, *options: str) -> float:
        call = " ".join([verb, *(option for option in options if option == "--refresh")])
        self.verbs.append(call)
        if call in self.interrupted:
            raise KeyboardInterrupt
        if call in self.fails:
            raise ui.SetupError(f"pulumi {verb} did not succeed")
        return 1.25


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine()
    monkeypatch.setattr(deploying, "pulumi", found)
    monkeypatch.setattr(benchmark, "ROOT", tmp_path)
    monkeypatch.setattr(benchmark, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(benchmark, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(deployed, "unlock", lambda stack: False)
    monkeypatch.setattr(deployed, "read_state", lambda stack: deployed.State())
    return found


@pytest.fixture
def workload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def returns(code: int) -> None:
        def run(stack: str, profile: str, scenario: str) -> int:
            folder = tmp_path / "results" / f"now-{stack}"
            folder.mkdir(parents=True)
            (tmp_path / "results" / "latest").symlink_to(folder.name)
            return code

        monkeypatch.setattr(benchmark, "_workload", run)

    return returns


def test_a_run_deploys_tests_removes_and_records_the_times(
    engine: Engine, workload: Callable[[int], None], tmp_path: Path
) -> None:
    workload(0)
    assert benchmark.bench("local", "quick", keep=False) is Status.GOOD
    assert engine.verbs == ["up", "destroy"]
    times = json.loads((tmp_path / "results" / "latest" / "deploy.json").read_text())
    assert times["up_s"] == 1.25
    assert times["destroy_s"] >= 0


@pytest.mark.parametrize("code", [1, 2, 3])
def test_what_the_workload_says_is_the_status(
    engine: Engine, workload: Callable[[int], None], code: int
) -> None:
    workload(code)
    assert benchmark.bench("local", "quick", keep=False) == code
    assert engine.verbs == ["up", "destroy"]


def test_a_failed_deployment_is_removed(
    engine: Engine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    engine.fails = {"up"}
    assert benchmark.bench("local", "quick", keep=False) is Status.COULD_NOT_RUN
    assert engine.verbs == ["up", "destroy"]
    assert "pulumi up did not succeed" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_an_interrupted_deployment_is_removed(engine: Engine) -> None:
    engine.interrupted = {"up"}
    with pytest.raises(KeyboardInterrupt):
        benchmark.bench("local", "quick", keep=False)
    assert engine.verbs == ["up", "destroy"]


def test_a_kept_stack_is_left_and_the_command_to_remove_it_is_said(
    engine: Engine, workload: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    workload(0)
    assert benchmark.bench("local", "quick", keep=True) is Status.GOOD
    assert engine.verbs == ["up"]
    assert "pulumi destroy -s local" in capsys.readouterr().err


def test_a_removal_that_fails_is_tried_again_with_a_refresh(
    engine: Engine, workload: Callable[[int], None]
) -> None:
    workload(0)
    engine.fails = {"destroy"}
    assert benchmark.bench("local", "quick", keep=False) is Status.GOOD
    assert engine.verbs == ["up", "destroy", "destroy --refresh"]


def test_a_good_verdict_on_a_stack_that_stays_is_no_success(
    engine: Engine, workload: Callable[[int], None]
) -> None:
    workload(0)
    engine.fails = {"destroy", "destroy --refresh"}
    assert benchmark.bench("local", "quick", keep=False) is Status.COULD_NOT_RUN


def test_what_a_killed_engine_left_is_removed_first(
    engine: Engine, workload: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload(0)
    locks = iter([True, False, False])
    monkeypatch.setattr(deployed, "unlock", lambda stack: next(locks))
    benchmark.bench("local", "quick", keep=False)
    assert engine.verbs == ["destroy", "up", "destroy"]


def put_lock(state: Path, pid: int, host: str) -> None:
    folder = state / ".pulumi" / "locks" / "organization" / pins.PROJECT / "local"
    folder.mkdir(parents=True)
    lock = {"pid": pid, "username": "me", "hostname": host, "timestamp": "2026-01-01T00:00:00Z"}
    (folder / "1.json").write_text(json.dumps(lock))


@pytest.fixture
def cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Puts a `pulumi` that writes its arguments down in place of the real one."""
    calls = tmp_path / "calls"
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {calls}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setattr(deployed, "STATE", tmp_path)
    monkeypatch.setattr(deployed, "LOGS", tmp_path / "logs")
    return lambda: calls.read_text().splitlines() if calls.exists() else []


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_lock_of_a_dead_engine_is_removed(
    tmp_path: Path, cancelled: Callable[[], list[str]]
) -> None:
    put_lock(tmp_path, dead_process(), socket.gethostname())
    assert deployed.unlock("local")
    assert cancelled() == ["cancel --yes --stack local"]


def test_the_lock_of_a_process_number_that_is_another_program_now_is_removed(
    tmp_path: Path, cancelled: Callable[[], list[str]]
) -> None:
    put_lock(tmp_path, os.getpid(), socket.gethostname())
    assert deployed.unlock("local")
    assert cancelled() == ["cancel --yes --stack local"]


def test_the_lock_of_another_host_is_respected(
    tmp_path: Path, cancelled: Callable[[], list[str]]
) -> None:
    put_lock(tmp_path, dead_process(), "another.example")
    with pytest.raises(ui.SetupError, match="is at work on local"):
        deployed.unlock("local")
    assert cancelled() == []


def test_the_lock_of_a_running_engine_is_respected(
    tmp_path: Path, cancelled: Callable[[], list[str]]
) -> None:
    running = tmp_path / "other" / "pulumi"
    running.parent.mkdir()
    shutil.copy(shutil.which("sleep") or "", running)
    with subprocess.Popen([running, "60"]) as child:
        try:
            command = Path(f"/proc/{child.pid}/comm")
            while command.read_text() != "pulumi\n":  # It gets its name a moment after its start.
                time.sleep(0.01)
            put_lock(tmp_path, child.pid, socket.gethostname())
            with pytest.raises(ui.SetupError, match=f"process {child.pid}"):
                deployed.unlock("local")
        finally:
            child.kill()
    assert cancelled() == []


def test_no_lock_is_nothing_to_do(tmp_path: Path, cancelled: Callable[[], list[str]]) -> None:
    assert not deployed.unlock("local")
    assert cancelled() == []


def test_the_ids_of_deployments_are_found_also_in_unfinished_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def labelled(value: str) -> dict[str, object]:
        other = {"label": "mlflow-bench.stack", "value": "local"}
        return {"inputs": {"labels": [other, {"label": deployed.LABEL, "value": value}]}}

    state = {
        "deployment": {
            "resources": [{"inputs": {"name": "x"}}, labelled("0a0b0c0d")],
            "pending_operations": [{"type": "creating", "resource": labelled("11223344")}],
        }
    }
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{json.dumps(state)}\nEOF\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert deployed.read_state("local") == deployed.State(
        resources=2, unfinished=1, deployments=frozenset({"0a0b0c0d", "11223344"})
    )


def test_a_stack_that_pulumi_does_not_know_has_no_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pulumi").symlink_to("/bin/false")
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert deployed.read_state("local") == deployed.State()


def test_unfinished_operations_are_forgotten_once_their_parts_are_gone(
    engine: Engine, workload: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload(0)
    monkeypatch.setattr(deployed, "read_state", lambda stack: deployed.State(unfinished=1))
    monkeypatch.setattr(deployed, "remove_labelled", lambda deployments: iter(()))
    benchmark.bench("local", "quick", keep=False)
    assert engine.verbs == ["up", "destroy", "refresh"]


def test_what_docker_still_has_is_removed_and_named() -> None:
    deployment = uuid.uuid4().hex[:8]
    name = f"mlflow-bench-test-{deployment}"
    label = f"{deployed.LABEL}={deployment}"
    for kind in ("network", "volume"):
        subprocess.run(["docker", kind, "create", "--label", label, name], check=True, stdout=-3)
    assert list(deployed.remove_labelled(frozenset({deployment}))) == [
        f"network {name}",
        f"volume {name}",
    ]
    assert list(deployed.remove_labelled(frozenset({deployment}))) == []


OUTPUT = """Updating (local):
 +  pulumi:pulumi:Stack mlflow-bench-local creating (0s)
 +  docker:index:Container postgres creating (0s)
@ Updating....
 +  docker:index:Container postgres creating (3s) error: port is already allocated
 +  docker:index:Container postgres **creating failed** error: port is already allocated
Diagnostics:
  docker:index:Container (postgres):
    error: port is already allocated

  pulumi:pulumi:Stack (mlflow-bench-local):
    error: update failed

Resources:
    + 1 created
"""


def test_the_diagnostics_of_an_engine_are_found() -> None:
    assert deployed.diagnostics(OUTPUT) == [
        "docker:index:Container (postgres):",
        "error: port is already allocated",
        "pulumi:pulumi:Stack (mlflow-bench-local):",
        "error: update failed",
    ]


def test_output_without_diagnostics_is_shown_as_it_is() -> None:
    assert deployed.diagnostics("error: no stack named 'x' found\n") == [
        "error: no stack named 'x' found"
    ]


@pytest.mark.parametrize(
    ("line", "step"),
    [
        (" +  docker:index:Container postgres creating (0s)", "postgres creating"),
        (" ~  docker:index:Network net updated (0.1s)", "net updated"),
        ("@ Updating....", ""),
        ("", ""),
    ],
)
def test_progress_names_the_last_resource(tmp_path: Path, line: str, step: str) -> None:
    (tmp_path / "up.log").write_text(f"Updating (local):\n{line}\n" if line else "")
    assert deployed.last_step(tmp_path / "up.log") == step
