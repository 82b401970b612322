"""What CI does with a stack, and the workflow files."""

import os
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
import yaml

from infra import releases
from scripts.commands.bench import run as benchmark
from scripts.commands.bench.run import Options, Outcome
from scripts.commands.ci import arguments, pipeline
from scripts.commands.setup import state
from scripts.commands.test import actionlint
from scripts.shared import project, ui
from scripts.shared.status import Status
from scripts.stack import files, snapshot, updates

WORKFLOWS = project.ROOT / ".github" / "workflows"


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a `pulumi` that notes its arguments in place of the real one."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize("fails", [False, True])
def test_the_preview_is_left_as_markdown_also_where_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    def preview(stack: str) -> None:
        updates.log_of(stack, "preview").write_text("Previewing:\n  + create\n")
        if fails:
            raise ui.SetupError("pulumi preview failed")

    monkeypatch.setattr(updates, "LOGS", tmp_path)
    monkeypatch.setattr(updates, "preview", preview)
    with pytest.raises(ui.SetupError) if fails else nullcontext():
        pipeline.preview("local", tmp_path / "out")
    assert (tmp_path / "out" / "preview.md").read_text() == (
        "### `pulumi preview` of local\n\n```\nPreviewing:\n  + create\n```\n"
    )


def test_a_backend_of_ones_own_gets_the_stack(
    pulumi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pulumi / "Pulumi.local.yaml"
    salted = "config: {}\nencryptionsalt: v1:of:another:passphrase\n"
    config.write_text(salted)
    monkeypatch.setattr(files, "path_of", lambda stack: config)
    monkeypatch.setattr(state, "ensure_stacks", lambda env: "")
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    with pipeline.created("local"):
        assert not (pulumi / "calls").exists()
    assert config.read_text() == salted
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    with pipeline.created("local"):
        assert "stack init local" in (pulumi / "calls").read_text()
        assert config.read_text() == "config: {}\n"
        config.write_text(salted)  # as Pulumi does
    assert config.read_text() == "config: {}\n"


def test_the_files_of_the_run_are_left_and_the_status_is_the_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "results" / "1-local"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text("report")
    monkeypatch.setattr(benchmark, "bench", lambda stack, wanted: Outcome(Status.BAD, folder))
    assert pipeline.test("local", Options(), tmp_path / "out") is Status.BAD
    assert (tmp_path / "out" / "report.html").read_text() == "report"


def test_where_there_was_no_run_no_files_are_passed_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Outcome(Status.COULD_NOT_RUN)
    monkeypatch.setattr(benchmark, "bench", lambda stack, wanted: found)
    assert pipeline.test("local", Options(), tmp_path / "out") is Status.COULD_NOT_RUN
    assert not (tmp_path / "out").exists()


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the stack file of `local`, which was used before."""
    (tmp_path / "stacks").mkdir()
    text = "config:\n  mlflow-bench:port: 5000\nencryptionsalt: v1:of:another:passphrase\n"
    (tmp_path / "stacks" / "Pulumi.local.yaml").write_text(text)
    monkeypatch.setattr(files, "ROOT", tmp_path)
    return tmp_path / "stacks"


def test_a_stack_has_another_name_while_it_is_tested(stacks: Path) -> None:
    before = (stacks / "Pulumi.local.yaml").read_text()
    with pipeline.under_name("local", "local-pr-7"):
        assert set(files.names()) == {"local", "local-pr-7"}
        text = (stacks / "Pulumi.local-pr-7.yaml").read_text()
        assert text == "config:\n  mlflow-bench:port: 5000\n"
    assert files.names() == ["local"]
    assert (stacks / "Pulumi.local.yaml").read_text() == before
    with pipeline.under_name("local", None):
        assert files.names() == ["local"]


@pytest.mark.parametrize("name", ["Local", "a/b", "../x", "a_b", "-a", "a-", "", "x" * 31, "local"])
def test_a_name_that_is_none_is_one_line(stacks: Path, name: str) -> None:
    assert (arguments.wrong_name(name) or "").startswith(f"--as {name}: ")
    assert arguments.wrong_name("multi-az-nfs-1234-1") is None
    assert arguments.wrong_name(None) is None


@pytest.mark.parametrize(
    ("left", "forgotten"), [(snapshot.Snapshot(), True), (snapshot.Snapshot(resources=1), False)]
)
def test_a_name_is_forgotten_by_the_backend_unless_something_is_deployed(
    pulumi: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    left: snapshot.Snapshot,
    forgotten: bool,
) -> None:
    monkeypatch.setattr(snapshot, "read", lambda stack: left)
    monkeypatch.setattr(state, "STATE", pulumi / ".state")
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    kept = pulumi / ".state" / ".pulumi" / "stacks" / project.PROJECT / "local-pr-7.json.bak"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(KeyboardInterrupt), pipeline.forgetting("local-pr-7"):
        raise KeyboardInterrupt
    called = (pulumi / "calls").read_text() if (pulumi / "calls").exists() else ""
    assert ("stack rm" in called) is forgotten
    assert ("local-pr-7" in called) is forgotten
    assert kept.exists() is not forgotten  # else the stack is not made again under that name
    assert ("stays in the backend" in capsys.readouterr().err) is not forgotten


def test_empty_variables_count_as_none() -> None:
    environ = {"PULUMI_BACKEND_URL": "", "PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_HOME": "/h"}
    arguments.drop_empty(environ)
    assert environ == {"PULUMI_HOME": "/h"}


def lint(path: Path) -> tuple[int, str]:
    done = subprocess.run([actionlint.ensure(), path], capture_output=True, text=True)
    return done.returncode, done.stdout


@pytest.mark.parametrize("path", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_workflows_are_as_github_takes_them(path: Path, tmp_path: Path) -> None:
    assert lint(path) == (0, "")
    # The control: with a mistake in it, it is not.
    broken = tmp_path / path.name
    broken.write_text(path.read_text().replace("runs-on:", "run-on:"))
    assert lint(broken)[0] == 1


def test_ci_has_a_job_for_every_stack_that_runs_on_docker() -> None:
    workflow = yaml.safe_load((WORKFLOWS / "ci.yml").read_text())
    jobs = workflow["jobs"]["stack"]["strategy"]["matrix"]["stack"]
    assert sorted(jobs) == sorted(
        stack
        for stack in ("k8s", "local", "multi-az", "multi-az-nfs", "single-az")
        if "kubernetes" not in (project.ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text()
    )
    assert set(jobs) <= set(files.names())


def test_every_supported_release_is_tried_each_night() -> None:
    workflow = yaml.safe_load((WORKFLOWS / "nightly.yml").read_text())
    tried = workflow["jobs"]["release"]["strategy"]["matrix"]["release"]
    assert list(map(str, tried)) == releases.supported()
