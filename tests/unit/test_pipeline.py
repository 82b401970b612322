"""What CI does with a stack, and the workflow files."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from scripts import benchmark, deployed, pipeline
from scripts.benchmark import Outcome, Wanted
from scripts.prepare import actionlint, pins, state, ui
from scripts.status import Status

WORKFLOWS = pins.ROOT / ".github" / "workflows"


@pytest.fixture
def pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Puts a `pulumi` that says its arguments in place of the real one, or fails."""
    program = tmp_path / "bin" / "pulumi"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\necho "  + create $2"\n'
        f"test ! -e {tmp_path}/fail || {{ echo 'error: port: 70000: too large' >&2; exit 255; }}\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(pipeline, "LOGS", tmp_path / "logs")
    return tmp_path


def test_the_preview_is_left_as_markdown(pulumi: Path) -> None:
    pipeline.preview("local", pulumi / "out")
    assert (pulumi / "out" / "preview.md").read_text() == (
        "### `pulumi preview` of local\n\n```\n+ create --non-interactive\n```\n"
    )


def test_a_preview_that_fails_ends_it_and_is_kept(pulumi: Path) -> None:
    (pulumi / "fail").touch()
    with pytest.raises(ui.SetupError, match="of local failed: error: port: 70000"):
        pipeline.preview("local", pulumi / "out")
    assert "port: 70000" in (pulumi / "out" / "preview.md").read_text()


def test_a_backend_of_ones_own_gets_the_stack(
    pulumi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = pulumi / "Pulumi.local.yaml"
    salted = "config: {}\nencryptionsalt: v1:of:another:passphrase\n"
    config.write_text(salted)
    monkeypatch.setattr(state, "config_of", lambda stack: config)
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    with pipeline.selected("local"):
        assert not (pulumi / "calls").exists()
    assert config.read_text() == salted
    monkeypatch.setenv("PULUMI_BACKEND_URL", "s3://states")
    with pipeline.selected("local"):
        assert "stack select --create" in (pulumi / "calls").read_text()
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
    assert pipeline.test("local", Wanted(), tmp_path / "out") is Status.BAD
    assert (tmp_path / "out" / "report.html").read_text() == "report"


def test_where_there_was_no_run_no_files_are_passed_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Outcome(Status.COULD_NOT_RUN)
    monkeypatch.setattr(benchmark, "bench", lambda stack, wanted: found)
    assert pipeline.test("local", Wanted(), tmp_path / "out") is Status.COULD_NOT_RUN
    assert not (tmp_path / "out").exists()


@pytest.fixture
def stacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the stack file of `local`, which was used before."""
    (tmp_path / "stacks").mkdir()
    text = "config:\n  mlflow-bench:port: 5000\nencryptionsalt: v1:of:another:passphrase\n"
    (tmp_path / "stacks" / "Pulumi.local.yaml").write_text(text)
    monkeypatch.setattr(state, "ROOT", tmp_path)
    return tmp_path / "stacks"


def test_a_stack_has_another_name_while_it_is_tested(stacks: Path) -> None:
    before = (stacks / "Pulumi.local.yaml").read_text()
    with pipeline.called("local", "local-pr-7"):
        assert set(state.presets()) == {"local", "local-pr-7"}
        text = (stacks / "Pulumi.local-pr-7.yaml").read_text()
        assert text == "config:\n  mlflow-bench:port: 5000\n"
    assert state.presets() == ["local"]
    assert (stacks / "Pulumi.local.yaml").read_text() == before
    with pipeline.called("local", None):
        assert state.presets() == ["local"]


@pytest.mark.parametrize("name", ["Local", "a/b", "../x", "a_b", "-a", "a-", "", "x" * 31, "local"])
def test_a_name_that_is_none_is_one_line(stacks: Path, name: str) -> None:
    assert (pipeline.wrong_name(name) or "").startswith(f"--as {name}: ")
    assert pipeline.wrong_name("multi-az-nfs-1234-1") is None
    assert pipeline.wrong_name(None) is None


@pytest.mark.parametrize(
    ("left", "forgotten"), [(deployed.State(), True), (deployed.State(resources=1), False)]
)
def test_a_name_is_forgotten_by_the_backend_unless_something_is_deployed(
    pulumi: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    left: deployed.State,
    forgotten: bool,
) -> None:
    monkeypatch.setattr(deployed, "read_state", lambda stack: left)
    monkeypatch.setattr(state, "STATE", pulumi / ".state")
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    kept = pulumi / ".state" / ".pulumi" / "stacks" / pins.PROJECT / "local-pr-7.json.bak"
    kept.parent.mkdir(parents=True)
    kept.touch()
    with pytest.raises(KeyboardInterrupt), pipeline.forgotten("local-pr-7"):
        raise KeyboardInterrupt
    called = (pulumi / "calls").read_text() if (pulumi / "calls").exists() else ""
    assert ("stack rm" in called) is forgotten
    assert ("--stack local-pr-7" in called) is forgotten
    assert kept.exists() is not forgotten  # else the stack is not made again under that name
    assert ("stays in the backend" in capsys.readouterr().err) is not forgotten


def test_empty_variables_count_as_none() -> None:
    environ = {"PULUMI_BACKEND_URL": "", "PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_HOME": "/h"}
    pipeline.drop_empty(environ)
    assert environ == {"PULUMI_HOME": "/h"}


def test_an_unknown_stack_is_one_line() -> None:
    done = subprocess.run([pins.ROOT / "scripts" / "ci", "x"], capture_output=True, text=True)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "no stack x in stacks/; there is: " in line


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
        if "kubernetes" not in (pins.ROOT / "stacks" / f"Pulumi.{stack}.yaml").read_text()
    )
    assert set(jobs) <= set(state.presets())
