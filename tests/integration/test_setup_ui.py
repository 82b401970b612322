"""Long commands: their time, their failure in one line, and their end on an interrupt."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from scripts.commands.setup import docker
from scripts.offline.base_image import parse_mirrors
from scripts.shared import machine, project, ui


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.26, "0.3 s"), (59.9, "59.9 s"), (245, "4 min 05 s")]
)
def test_durations_read_well(seconds: float, text: str) -> None:
    assert ui.elapsed(seconds) == text


def test_a_failure_is_one_line_with_status_reason_and_log(tmp_path: Path) -> None:
    log = tmp_path / "logs" / "x.log"
    argv = ["sh", "-c", "echo fine; echo the disk is full >&2; exit 3"]
    with pytest.raises(ui.CommandError) as caught:
        ui.run("test", "doing it", argv, log=log)
    expected = f"doing it failed with status 3: the disk is full (log: {log})"
    assert str(caught.value) == expected


def test_a_command_that_is_absent_is_named(tmp_path: Path) -> None:
    with pytest.raises(ui.CommandError, match="cannot run no-such-command: No such file"):
        ui.run("test", "doing it", ["no-such-command"], log=tmp_path / "x.log")


def test_a_command_that_hangs_is_ended(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    argv = ["sh", "-c", f"echo $$ > {pid_file}; exec sleep 60"]
    with pytest.raises(ui.CommandError, match=r"did not end within 0\.5 s"):
        ui.run("test", "doing it", argv, log=tmp_path / "x.log", timeout=0.5)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid_file.read_text()), 0)


def test_progress_says_what_and_how_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ui, "LINE_EVERY_S", 0.2)
    argv = ["sh", "-c", "echo half; sleep 0.6"]
    ui.run("test", "doing it", argv, log=tmp_path / "x.log", detail=ui.last_line)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) >= 2
    assert all(re.fullmatch(r"test      doing it, half, 0\.\d s", line) for line in lines)


def test_a_command_can_be_interrupted_also_where_this_process_cannot(tmp_path: Path) -> None:
    """As in the background of a shell: the engine ends its own children by SIGINT."""
    command = [sys.executable, "-c", "import signal; print(signal.getsignal(signal.SIGINT))"]
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        ui.run("test", "asking", command, log=tmp_path / "log")
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, former)
    assert "default_int_handler" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_the_command_and_is_one_line(tmp_path: Path, number: int) -> None:
    program = (
        "import sys; from pathlib import Path; from scripts.shared import ui\n"
        f"log = Path({str(tmp_path / 'x.log')!r})\n"
        "argv = ['sh', '-c', 'echo $$; exec sleep 60']\n"
        "sys.exit(ui.report('test', lambda: ui.run('test', 'sleeping', argv, log=log)))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=project.ROOT, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 20
    while not (tmp_path / "x.log").exists() or not (tmp_path / "x.log").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    child.send_signal(number)
    _, errors = child.communicate(timeout=180)
    assert child.returncode == ui.INTERRUPTED
    assert errors.splitlines() == ["test      interrupted; run it again to go on"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "x.log").read_text()), 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_while_the_command_starts_ends_it(tmp_path: Path, number: int) -> None:
    program = (
        "import os, subprocess, sys; from pathlib import Path; from scripts.shared import ui\n"
        "class Interrupted(subprocess.Popen):\n"
        "    def __init__(self, *arguments, **others):\n"
        "        super().__init__(*arguments, **others)\n"
        f"        Path({str(tmp_path / 'pid')!r}).write_text(str(self.pid))\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "subprocess.Popen = Interrupted\n"
        f"log = Path({str(tmp_path / 'x.log')!r})\n"
        "argv = ['sleep', '60']\n"
        "sys.exit(ui.report('test', lambda: ui.run('test', 'sleeping', argv, log=log)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=project.ROOT,
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert done.returncode == ui.INTERRUPTED
    assert done.stderr.splitlines() == ["test      interrupted; run it again to go on"]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_each_interrupt_is_passed_on(tmp_path: Path) -> None:
    """As the engine: the first makes it end in order, the second at once."""
    argv = ["bash", "-c", 'trap "((n++)) && exit; echo 1" INT; echo $$; while :; do sleep .1; done']
    program = (
        "import sys; from pathlib import Path; from scripts.shared import ui\n"
        f"log = Path({str(tmp_path / 'x.log')!r})\n"
        f"sys.exit(ui.report('test', lambda: ui.run('test', 'x', {argv}, log=log, grace_s=60)))\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", program], cwd=project.ROOT, stderr=subprocess.PIPE, text=True
    )
    log = tmp_path / "x.log"
    for lines in (1, 2):
        deadline = time.monotonic() + 20
        while not log.exists() or len(log.read_text().splitlines()) < lines:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=180)
    assert child.returncode == ui.INTERRUPTED
    assert errors.splitlines() == ["test      interrupted; run it again to go on"]
    with pytest.raises(ProcessLookupError):
        os.kill(int(log.read_text().splitlines()[0]), 0)


def test_the_first_interrupt_is_held_back_and_the_second_is_not() -> None:
    before = signal.getsignal(signal.SIGINT)
    with ui.second_interrupt_only("test"):
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize(
    ("content", "process", "stale"),
    [
        (None, None, False),
        ("41", "(dockerd) S 1", False),
        ("41", "(containerd) R 1", False),
        ("41", "(dockerd) Z 1", True),
        ("41", "(bash) S 1", True),
        ("41", None, True),
        ("", None, True),
    ],
)
def test_a_pid_file_of_a_killed_daemon_is_stale(
    tmp_path: Path, content: str | None, process: str | None, stale: bool
) -> None:
    if content is not None:
        (tmp_path / "docker.pid").write_text(content)
    if process is not None:
        (tmp_path / "41").mkdir()
        (tmp_path / "41" / "stat").write_text(f"41 {process} 41 41 0\n")
    assert docker.is_stale(tmp_path / "docker.pid", tmp_path) is stale


def test_the_hosts_own_mirrors_are_known_by_label() -> None:
    text = (
        "Debian|http://mirror.example/debian/\n"
        "Debian|http://second.example/debian/\n"
        "Debian-Security|http://mirror.example/debian-security/\n"
        "|http://nameless.example/\n"
    )
    assert parse_mirrors(text) == {
        "Debian": "http://mirror.example/debian/",
        "Debian-Security": "http://mirror.example/debian-security/",
    }


def test_two_set_ups_make_a_thing_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(machine, "CACHE", tmp_path)
    holder = (
        "import time; from pathlib import Path; from scripts.shared import machine\n"
        f"machine.CACHE = Path({str(tmp_path)!r})\n"
        "with machine.one_at_a_time('a', 'made') as scratch:\n"
        "    (scratch / 'half').touch(); print('locked', flush=True); time.sleep(60)\n"
    )
    argv = [sys.executable, "-c", holder]
    with subprocess.Popen(argv, cwd=project.ROOT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        other.stdout.readline()
        threading.Timer(0.5, other.kill).start()
        with machine.one_at_a_time("b", "made") as scratch:
            assert other.wait(5) == -signal.SIGKILL
            assert not list(scratch.iterdir())  # Not what the killed one left.
    assert "waiting for made: another part or set-up is at it" in capsys.readouterr().err
    assert not scratch.exists()
