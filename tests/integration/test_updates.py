"""Updates of a small project by the real engine: failed, interrupted, killed, and two at once."""

import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.shared import ui
from scripts.shared.project import VENV
from scripts.stack import checkout, deployment, locks, snapshot, updates
from tests.offline.plugins.project import eventually

PROGRAM = """\
import os, pathlib, time
import pulumi
import pulumi_random as random

random.RandomId("first", byte_length=4)
if os.environ["MODE"] == "wait":
    pathlib.Path("waits").touch()
    time.sleep(60)
if os.environ["MODE"] == "fail":
    random.RandomInteger("broken", min=2, max=1)
pulumi.export("password", pulumi.Output.secret("hush"))
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with an empty stack `test`, in place of this checkout."""
    (tmp_path / "state").mkdir()
    (tmp_path / "Pulumi.yaml").write_text(
        "name: updates-test\nbackend: {url: 'file://state?metadata=skip'}\n"
        f"runtime: {{name: python, options: {{virtualenv: {VENV}}}}}\n"
    )
    (tmp_path / "__main__.py").write_text(PROGRAM)
    monkeypatch.setattr(checkout, "ROOT", tmp_path)
    monkeypatch.setattr(updates, "LOGS", tmp_path / "logs")
    monkeypatch.setattr(locks, "STATE", tmp_path / "state")
    monkeypatch.setattr(locks, "PROJECT", "updates-test")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "test")
    monkeypatch.delenv("PULUMI_BACKEND_URL", raising=False)
    monkeypatch.setenv("MODE", "wait")
    checkout.Checkout().create_stack("test")
    yield tmp_path
    assert deployment.remove("test")[0]
    assert snapshot.read("test").empty


def test_what_is_deployed_is_known_and_what_failed_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MODE", "fail")
    with pytest.raises(ui.SetupError, match=r"^pulumi up failed with status \d+ \(log: "):
        updates.up("test")
    (said,) = capsys.readouterr().err.splitlines()
    assert "broken: " in said
    monkeypatch.setenv("MODE", "good")
    updates.preview("test")
    assert "pulumi:pulumi:Stack" in updates.log_of("test", "preview").read_text()
    assert 0 < updates.up("test") < 60
    assert snapshot.read("test").resources == 3  # with the stack and the provider
    assert snapshot.outputs("test") == {"password": "hush"}
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "another")
    with pytest.raises(ui.SetupError, match="incorrect passphrase"):
        snapshot.read("test")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "test")


def test_an_interrupted_update_ends_in_order_and_can_be_finished(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt() -> None:
        eventually((project / "waits").exists, 60)
        os.kill(os.getpid(), signal.SIGINT)

    interrupter = threading.Thread(target=interrupt)
    interrupter.start()
    with pytest.raises(KeyboardInterrupt):
        updates.up("test")
    interrupter.join()
    assert locks.held("test") == []
    assert snapshot.read("test").unfinished == 0
    monkeypatch.setenv("MODE", "good")
    updates.up("test")


def test_a_second_update_is_refused_until_the_first_is_dead(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    argv = ["pulumi", "up", "--yes", "--skip-preview", "--non-interactive", "--stack=test"]
    with subprocess.Popen(argv, cwd=project, stdout=subprocess.DEVNULL) as first:
        try:
            assert eventually((project / "waits").exists, 60)
            with pytest.raises(updates.LockedError, match="another pulumi is at work on it"):
                updates.up("test")
            with pytest.raises(updates.LockedError, match=f"process {first.pid} "):
                updates.unlock("test")
        finally:
            first.kill()
    assert updates.unlock("test")
    assert locks.held("test") == []
    monkeypatch.setenv("MODE", "good")
    updates.up("test")
