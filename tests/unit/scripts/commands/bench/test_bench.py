"""The order of a benchmark: what is removed when, and which exit status counts."""

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from pulumi.automation import EngineEvent

from infra import automation, releases
from infra.labels import LABEL_DEPLOYMENT
from scripts.commands.bench import results
from scripts.commands.bench import run as benchmark
from scripts.commands.bench import workload as workload_of_a_run
from scripts.commands.bench.run import Options, Outcome, bench
from scripts.shared import project, ui
from scripts.shared.status import Status, status_of, worst
from scripts.stack import (
    checkout,
    deployment,
    files,
    leftovers,
    locks,
    snapshot,
    updates,
    variant,
)


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


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Engine:
    """Stands in for `pulumi`: records its verbs, and fails or is interrupted where told to."""

    def __init__(self) -> None:
        self.verbs: list[str] = []
        self.fails: set[str] = set()
        self.locked: set[str] = set()
        self.interrupted: set[str] = set()
        self.state = snapshot.Snapshot()

    def __call__(self, stack: str, verb: str, **options: object) -> SimpleNamespace:
        call = f"{verb} --refresh" if options.get("refresh") else verb
        self.verbs.append(call)
        if call in self.locked:
            raise updates.LockedError("another pulumi is at work on it")
        if verb == "up" and self.state.empty:
            self.state = snapshot.Snapshot(resources=9, oldest=NOW)
        if call in self.interrupted:
            raise KeyboardInterrupt
        if call in self.fails:
            raise ui.SetupError(f"pulumi {verb} did not succeed")
        if verb == "destroy":
            self.state = snapshot.Snapshot(unfinished=self.state.unfinished)
        return SimpleNamespace(took_s=1.25)

    def already_up(self) -> None:
        self.state = snapshot.Snapshot(resources=9, oldest=NOW)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    found = Engine()
    monkeypatch.setattr(updates, "_update", found)
    monkeypatch.setattr(benchmark, "ROOT", tmp_path)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(benchmark, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(updates, "unlock", lambda stack: None)
    monkeypatch.setattr(snapshot, "read", lambda stack: found.state)
    monkeypatch.setattr(leftovers, "remove_labelled", lambda deployments: iter(()))
    return found


@pytest.fixture
def workload(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    def returns(code: int) -> None:
        def run(stack: str, wanted: Options, folder: Path) -> Status:
            (folder / "result.json").write_text("{}")
            return status_of(code)

        monkeypatch.setattr(benchmark, "_workload", run)

    return returns


def test_a_run_deploys_tests_removes_and_records_the_times(
    engine: Engine, workload: Callable[[int], None], tmp_path: Path
) -> None:
    workload(0)
    found = bench("local", Options())
    assert found.status is Status.GOOD
    assert engine.verbs == ["up", "destroy"]
    assert found.folder
    assert found.folder.parent == tmp_path / "results"
    times = json.loads((found.folder / "deploy.json").read_text())
    assert times["up_s"] == 1.25
    assert times["destroy_s"] >= 0


@pytest.mark.parametrize("code", [1, 2, 3])
def test_what_the_workload_says_is_the_status(
    engine: Engine, workload: Callable[[int], None], code: int
) -> None:
    workload(code)
    assert bench("local", Options()).status == code
    assert engine.verbs == ["up", "destroy"]


def test_a_failed_deployment_is_removed(
    engine: Engine, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    engine.fails = {"up"}
    assert bench("local", Options()) == Outcome(Status.COULD_NOT_RUN)
    assert engine.verbs == ["up", "destroy"]
    assert "pulumi up did not succeed" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


def test_an_interrupted_deployment_is_removed(engine: Engine) -> None:
    engine.interrupted = {"up"}
    with pytest.raises(KeyboardInterrupt):
        bench("local", Options())
    assert engine.verbs == ["up", "destroy"]


def test_a_kept_stack_is_left_and_the_command_to_remove_it_is_said(
    engine: Engine, workload: Callable[[int], None], capsys: pytest.CaptureFixture[str]
) -> None:
    workload(0)
    assert bench("local", Options(keep=True)).status is Status.GOOD
    assert engine.verbs == ["up"]
    assert "pulumi destroy -s local" in capsys.readouterr().err


def test_a_removal_that_fails_is_tried_again_with_a_refresh(
    engine: Engine, workload: Callable[[int], None]
) -> None:
    workload(0)
    engine.fails = {"destroy"}
    assert bench("local", Options()).status is Status.GOOD
    assert engine.verbs == ["up", "destroy", "destroy --refresh"]


def test_a_good_verdict_on_a_stack_that_stays_is_no_success(
    engine: Engine, workload: Callable[[int], None]
) -> None:
    workload(0)
    engine.fails = {"destroy", "destroy --refresh"}
    assert bench("local", Options()).status is Status.COULD_NOT_RUN


@pytest.mark.parametrize(
    ("wanted", "verbs"),
    [
        (Options(), ["up --refresh"]),
        (Options(keep=True), ["up --refresh"]),
        (Options(remove=True), ["up --refresh", "destroy"]),
    ],
)
def test_a_stack_that_was_up_is_tested_and_kept_unless_told_otherwise(
    engine: Engine,
    workload: Callable[[int], None],
    capsys: pytest.CaptureFixture[str],
    wanted: Options,
    verbs: list[str],
) -> None:
    engine.already_up()
    workload(0)
    found = bench("local", wanted)
    assert found.status is Status.GOOD
    assert engine.verbs == verbs
    said = capsys.readouterr().err.splitlines()[0]
    assert said.startswith("local     was deployed before: it is brought up to date and tested")
    assert said.endswith(
        "is removed afterwards" if wanted.remove else "is kept (--remove removes it)"
    )
    # No time of a deployment is claimed where there was none.
    assert found.folder
    assert "up_s" not in json.loads((found.folder / "deploy.json").read_text())


@pytest.mark.parametrize("what", ["fails", "interrupted"])
def test_a_stack_that_was_up_stays_whatever_happens_to_it(engine: Engine, what: str) -> None:
    engine.already_up()
    setattr(engine, what, {"up --refresh"})
    with contextlib.suppress(KeyboardInterrupt):
        assert bench("local", Options()) == Outcome(Status.COULD_NOT_RUN)
    assert engine.verbs == ["up --refresh"]


def test_a_state_that_cannot_be_read_is_one_line_and_nothing_is_done(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unreadable(stack: str) -> snapshot.Snapshot:
        raise ui.SetupError(f"the state of {stack} cannot be read")

    monkeypatch.setattr(snapshot, "read", unreadable)
    assert bench("local", Options(remove=True)) == Outcome(Status.COULD_NOT_RUN)
    assert engine.verbs == []
    assert capsys.readouterr().err.splitlines() == ["local     the state of local cannot be read"]


def test_what_somebody_else_deploys_at_the_same_moment_is_not_removed(
    engine: Engine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.locked = {"up"}
    assert bench("local", Options()) == Outcome(Status.COULD_NOT_RUN)
    assert engine.verbs == ["up"]
    assert "another pulumi is at work on it" in capsys.readouterr().err


def test_a_removal_leaves_what_another_engine_is_at_work_on(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.already_up()
    engine.locked = {"destroy"}
    swept: list[str] = []
    monkeypatch.setattr(leftovers, "remove_labelled", swept.extend)
    assert deployment.remove("local")[0] is False
    assert engine.verbs == ["destroy"]
    assert swept == []


@pytest.mark.parametrize(
    ("killed_after", "verbs"),
    [
        (timedelta(seconds=-5), ["destroy", "up", "destroy"]),  # while it was deployed at first
        (timedelta(days=1), ["up --refresh"]),  # over a stack that was up: that is kept
    ],
)
def test_what_a_killed_first_deployment_left_is_removed_first(
    engine: Engine,
    workload: Callable[[int], None],
    monkeypatch: pytest.MonkeyPatch,
    killed_after: timedelta,
    verbs: list[str],
) -> None:
    engine.already_up()
    workload(0)
    locks = iter([NOW + killed_after])
    monkeypatch.setattr(updates, "unlock", lambda stack: next(locks, None))
    assert bench("local", Options()).status is Status.GOOD
    assert engine.verbs == verbs


def test_two_runs_that_begin_at_once_have_their_own_folders(engine: Engine) -> None:
    folders = {results.new_run("local") for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.is_dir() for folder in folders)


def test_the_files_are_those_of_the_own_run_whatever_ran_meanwhile(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run(stack: str, wanted: Options, folder: Path) -> Status:
        another = tmp_path / "results" / "another"
        another.mkdir()
        (tmp_path / "results" / "latest").symlink_to("another")
        return Status.COULD_NOT_RUN

    monkeypatch.setattr(benchmark, "_workload", run)
    assert bench("local", Options()) == Outcome(Status.COULD_NOT_RUN)
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["another", "latest"]


def test_healing_is_given_the_time_that_it_needs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: dict[str, Any] = {}
    monkeypatch.setattr(ui, "run", lambda *_, **named: given.update(named))
    benchmark._workload("local", Options(), tmp_path)
    assert given["grace_s"] >= 60
    assert given["log"] is None


@pytest.mark.parametrize(("result", "status"), [(True, Status.BAD), (False, 2)])
def test_a_load_that_ended_without_a_result_could_not_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, result: bool, status: int
) -> None:
    def fails(*_: object, **__: object) -> float:
        raise ui.CommandError("load", "failed with status 1", status=1)  # as a traceback does

    monkeypatch.setattr(ui, "run", fails)
    if result:
        (tmp_path / "result.json").touch()
    assert benchmark._workload("local", Options(), tmp_path) == status


def put_lock(state: Path, pid: int, host: str) -> None:
    folder = state / ".pulumi" / "locks" / "organization" / project.PROJECT / "local"
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
    monkeypatch.setattr(locks, "STATE", tmp_path)
    return lambda: calls.read_text().splitlines() if calls.exists() else []


def dead_process() -> int:
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def test_the_lock_of_a_dead_engine_is_removed(
    tmp_path: Path, cancelled: Callable[[], list[str]]
) -> None:
    put_lock(tmp_path, dead_process(), socket.gethostname())
    assert updates.unlock("local") == datetime(2026, 1, 1, tzinfo=UTC)
    assert cancelled() == ["cancel --yes --stack local --non-interactive"]


def test_the_lock_of_a_process_number_that_is_another_program_now_is_removed(
    tmp_path: Path, cancelled: Callable[[], list[str]]
) -> None:
    put_lock(tmp_path, os.getpid(), socket.gethostname())
    assert updates.unlock("local")
    assert cancelled() == ["cancel --yes --stack local --non-interactive"]


def test_the_lock_of_another_host_is_respected(
    tmp_path: Path, cancelled: Callable[[], list[str]]
) -> None:
    put_lock(tmp_path, dead_process(), "another.example")
    with pytest.raises(ui.SetupError, match="is at work on local"):
        updates.unlock("local")
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
                updates.unlock("local")
        finally:
            child.kill()
    assert cancelled() == []


def test_no_lock_is_nothing_to_do(tmp_path: Path, cancelled: Callable[[], list[str]]) -> None:
    assert not updates.unlock("local")
    assert cancelled() == []


def test_the_ids_of_deployments_are_found_also_in_unfinished_operations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def labelled(value: str) -> dict[str, object]:
        other = {"label": "mlflow-bench.stack", "value": "local"}
        return {"inputs": {"labels": [other, {"label": LABEL_DEPLOYMENT, "value": value}]}}

    state = {
        "version": 3,
        "deployment": {
            "resources": [
                {"inputs": {"name": "x"}},
                labelled("0a0b0c0d") | {"created": "2026-01-02T03:04:05.123456789Z"},
                {"inputs": {}, "created": "2026-01-03T00:00:00Z"},
            ],
            "pending_operations": [{"type": "creating", "resource": labelled("11223344")}],
        },
    }
    program = tmp_path / "pulumi"
    program.write_text(f"#!/bin/sh\ncat <<'EOF'\n{json.dumps(state)}\nEOF\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert snapshot.read("local") == snapshot.Snapshot(
        resources=3,
        unfinished=1,
        deployments=frozenset({"0a0b0c0d", "11223344"}),
        oldest=NOW.replace(microsecond=123456),
    )


@pytest.fixture
def saying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a `pulumi` in place of the real one, that does what a line of shell says."""

    def put(line: str) -> None:
        program = tmp_path / "pulumi"
        program.write_text(f"#!/bin/sh\n{line}\n")
        program.chmod(0o755)

    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return put


@pytest.mark.parametrize(
    "line",
    [
        "echo \"error: no stack named 'local' found\" >&2; exit 6",
        """echo '{"version": 3, "deployment": {"manifest": {}}}'""",
        """echo '{"version": 3, "deployment": null}'""",
    ],
)
def test_a_stack_that_pulumi_does_not_know_has_no_state(
    saying: Callable[[str], None], line: str
) -> None:
    saying(line)
    assert snapshot.read("local").empty


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("echo 'error: incorrect passphrase' >&2; exit 255", "incorrect passphrase; see: "),
        ("echo 'error: unable to open bucket s3://x' >&2; exit 1", "unable to open bucket s3://x"),
        ("exit 3", "status 3"),
        ("exec sleep 9", "does not answer within 0.5 s"),
        ("echo '{\"version\": 3'", "no state"),
        ("echo '[]'", "no state"),
        ("echo '{}'", "no state"),
        ("""echo '{"deployment": {"resources": [7]}}'""", "no state"),
        ("""echo '{"deployment": {"resources": [{"created": "x"}]}}'""", "no state"),
        ("true", "no state"),
    ],
)
def test_a_state_that_cannot_be_read_is_not_taken_for_none(
    saying: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, line: str, said: str
) -> None:
    saying(line)
    monkeypatch.setattr(automation, "TIMEOUT_S", 0.5)
    with pytest.raises(ui.SetupError) as raised:
        snapshot.read("local")
    (shown,) = str(raised.value).splitlines()
    assert shown.startswith("the state of local cannot be read, so nothing was done with it: ")
    assert said in shown


def test_no_pulumi_at_all_is_no_empty_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ui.SetupError, match="pulumi cannot be run: No such file"):
        snapshot.read("local")


@pytest.mark.parametrize(
    "said",
    [
        "error: the stack is currently locked by 1 lock(s). Either wait for the other process",
        "error: [409] Conflict: Another update is currently in progress.",
    ],
)
def test_a_lock_of_any_backend_is_known(
    saying: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, said: str
) -> None:
    saying(f"echo '{said}' >&2; exit 255")
    monkeypatch.setattr(updates, "LOGS", tmp_path / "logs")
    with pytest.raises(updates.LockedError, match="another pulumi is at work on it"):
        updates.up("local")


def test_unfinished_operations_are_forgotten_once_their_parts_are_gone(
    engine: Engine, workload: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    workload(0)
    monkeypatch.setattr(snapshot, "read", lambda stack: snapshot.Snapshot(unfinished=1))
    bench("local", Options())
    assert engine.verbs == ["up", "destroy", "refresh"]


URN = "urn:pulumi:local::mlflow-bench::docker:index:Container::"


def step(kind: str, name: str, operation: str = "create") -> dict[str, object]:
    return {kind: {"metadata": {"op": operation, "urn": URN + name}}}


def diagnostic(message: str, severity: str = "error", urn: str = "") -> dict[str, object]:
    return {"diagnosticEvent": {"message": message, "severity": severity, "urn": urn}}


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(updates, "LOGS", tmp_path / "logs")


def events(*every: dict[str, object]) -> updates.Update:
    update = updates.Update("local", "up")
    update.log.parent.mkdir(parents=True, exist_ok=True)
    update.log.write_text("Updating (local):\n\nerror: incorrect passphrase\n")
    for event in every:
        update.on_event(EngineEvent.from_json(event))
    return update


@pytest.mark.usefixtures("logs")
def test_what_went_wrong_is_said_with_the_name_of_the_resource() -> None:
    seen = events(
        diagnostic("registering resource", "debug"),
        diagnostic("port is already allocated\nby another\n\n", urn=f"{URN}postgres"),
        diagnostic("port: 70000: too large\nzones: -1: too small"),
        diagnostic("an unhandled error occurred: program exited with non-zero exit code: 1"),
    )
    assert seen.errors == [
        "postgres: port is already allocated",
        "by another",
        "port: 70000: too large",
        "zones: -1: too small",
    ]


@pytest.mark.usefixtures("logs")
def test_an_end_without_a_cause_is_said() -> None:
    assert events(diagnostic("update failed\n")).errors == ["update failed"]
    assert events().errors == ["Updating (local):", "error: incorrect passphrase"]


@pytest.mark.usefixtures("logs")
def test_progress_names_the_resource_that_is_worked_on() -> None:
    begun = [step("resourcePreEvent", "postgres"), step("resourcePreEvent", "nfs", "update")]
    assert events().step == ""
    assert events(step("resourcePreEvent", "postgres", "same")).step == ""
    assert events(*begun).step == "nfs updating"
    assert events(*begun, step("resOutputsEvent", "nfs")).step == "postgres creating"
    failed = step("resOpFailedEvent", "postgres")
    assert events(*begun, step("resOutputsEvent", "nfs"), failed).step == ""


def test_another_release_is_deployed_from_a_copy_of_the_stack_file(
    engine: Engine,
    workload: Callable[[int], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workload(0)
    own = tmp_path / "Pulumi.local.yaml"
    own.write_text("config:\n  mlflow-bench:port: 5000\nencryptionsalt: v1:x\n")
    monkeypatch.setattr(files, "path_of", lambda stack: own)
    monkeypatch.setattr(checkout.Checkout, "create_stack", lambda self, stack: None)
    deployed = []

    def update(stack: str, verb: str, **options: object) -> SimpleNamespace:
        if verb == "up":
            deployed.append(yaml.safe_load(Path(str(options["config_file"])).read_text()))
        return engine(stack, verb, **options)

    monkeypatch.setattr(updates, "_update", update)
    found = bench("local", Options(release="3.16.1"))
    assert found.status is Status.GOOD
    assert found.folder
    assert found.folder.name.endswith("-local@3.16.1")
    assert deployed == [
        {
            "config": {"mlflow-bench:port": 5000, "mlflow-bench:mlflow": "3.16.1"},
            "encryptionsalt": "v1:x",
        }
    ]
    assert "mlflow-bench:mlflow" not in own.read_text()


def test_the_data_of_a_stack_that_is_deployed_are_not_taken_to_another_release(
    engine: Engine, workload: Callable[[int], None]
) -> None:
    workload(0)
    engine.already_up()
    assert bench("local", Options(release="3.16.1")) == Outcome(Status.COULD_NOT_RUN)
    assert engine.verbs == []


@pytest.mark.parametrize(
    ("server", "wanted", "said"),
    [
        ("3.17.2", "3.16.1", "the server has mlflow 3.17.2, not 3.16.1"),
        ("3.16.1", "3.16.1", None),
        ("3.17.2", None, None),
    ],
)
def test_a_server_of_another_release_than_was_asked_for_is_told(
    tmp_path: Path, server: str, wanted: str | None, said: str | None
) -> None:
    content = {"plan": {"environment": {"mlflow server": server}}}
    (tmp_path / "result.json").write_text(json.dumps(content))
    problem = workload_of_a_run.other_release(tmp_path, wanted)
    assert (problem or "").startswith(said or "")
    assert (problem is None) == (said is None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "no stack x in stacks/; there is: local, multi-az"),
        ("x@3.16.1", "no stack x in stacks/"),
        ("local@", "local@: what is after @ is no release of mlflow, as "),
        ("local@latest", "local@latest: latest is no release of mlflow, as "),
        ("local@9.9.9", "local@9.9.9: 9.9.9 is not among the releases that a stack runs: "),
    ],
)
def test_a_release_that_no_stack_runs_is_one_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        variant.read(text, ["local", "multi-az"])


def test_a_stack_and_its_release_are_told_apart() -> None:
    assert variant.read("local@3.16.1", ["local"]) == variant.Variant("local", "3.16.1")
    assert str(variant.of("local@3.16.1")) == "local@3.16.1"
    assert variant.of("local") == variant.Variant("local")


def test_all_releases_of_a_stack_are_named_at_once() -> None:
    assert variant.expanded("local@3.16.1") == ["local@3.16.1"]
    assert variant.expanded("local") == ["local"]
    named = variant.expanded("local@all")
    assert [variant.read(text, ["local"]).release for text in named] == releases.supported()
