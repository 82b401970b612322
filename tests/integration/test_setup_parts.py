"""Parts of the set-up side by side: their order, a failure of one, interrupts, what is shown."""

import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.commands.setup.parts import side_by_side
from scripts.shared import machine, project, ui

SLEEP = ["sh", "-c", "echo $$; exec sleep 60"]


def wait_until(log: Path) -> int:
    """Return the process that wrote its number into a log."""
    deadline = time.monotonic() + 20
    while not (log.exists() and log.read_text().strip()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(log.read_text())


def is_dead(log: Path) -> bool:
    try:
        os.kill(int(log.read_text()), 0)
    except ProcessLookupError:
        return True
    return False


def run_together(**works: Callable[[], object]) -> None:
    with side_by_side() as parts:
        for name, work in works.items():
            parts.start(name, work)


def test_parts_run_at_the_same_time_and_wait_for_what_they_ask_for() -> None:
    met = threading.Barrier(2, timeout=10)
    order: list[str] = []

    def work(name: str) -> str:
        met.wait()
        order.append(name)
        return name

    with side_by_side() as parts:
        a = parts.start("a", lambda: work("a"))
        b = parts.start("b", lambda: work("b"))
        last = parts.start("c", lambda: order.append(f"{a.result()}{b.result()}"))
    assert last.done()
    assert sorted(order[:2]) == ["a", "b"]
    assert order[2:] == ["ab"]


def test_a_part_that_fails_ends_the_others_and_is_named(tmp_path: Path) -> None:
    logs = [tmp_path / name for name in ("slow", "broken", "after")]

    def run_three() -> None:
        def fail() -> None:
            wait_until(logs[0])
            ui.run("broken", "packing", ["sh", "-c", "echo no room left; exit 3"], log=logs[1])

        def follow() -> None:
            broken.result()
            ui.run("after", "never", SLEEP, log=logs[2])

        with side_by_side() as parts:
            parts.start("slow", lambda: ui.run("slow", "sleeping", SLEEP, log=logs[0]))
            broken = parts.start("broken", fail)
            parts.start("after", follow)

    began = time.monotonic()
    expected = "^broken: packing failed with status 3: no room left "
    with pytest.raises(ui.SetupError, match=expected):
        run_three()
    assert time.monotonic() - began < 20
    assert is_dead(logs[0])
    assert not logs[2].exists()


def test_a_mistake_of_the_program_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        run_together(a=lambda: 1 // 0)


def test_a_part_that_waits_for_a_lock_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "CACHE", tmp_path)
    waiting = threading.Event()
    monkeypatch.setattr(ui, "say", lambda *_: waiting.set())

    def wait_for_lock() -> None:
        with machine.one_at_a_time("b", "apt"):
            pass

    def fail() -> None:
        assert waiting.wait(10)
        raise ui.SetupError("no engine")

    with machine.one_at_a_time("a", "apt"), pytest.raises(ui.SetupError, match="c: no engine"):
        run_together(b=wait_for_lock, c=fail)


def test_other_things_have_other_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "CACHE", tmp_path)
    with machine.one_at_a_time("a") as one, machine.one_at_a_time("b") as another:
        assert one != another
        assert one.is_dir()
        assert another.is_dir()
    assert not one.exists()
    assert not another.exists()


PROGRAM = """
import sys; from pathlib import Path
from scripts.shared import ui
from scripts.commands.setup.parts import side_by_side
def work():
    with side_by_side() as parts:
        for log, argv in zip({logs!r}, {commands!r}):
            parts.start("x", lambda log=Path(log), argv=argv:
                        ui.run("x", "sleeping", argv, log=log, grace_s={grace_s}))
sys.exit(ui.report("setup", work))
"""


def start(logs: list[str], commands: list[list[str]], grace_s: int) -> subprocess.Popen[str]:
    program = PROGRAM.format(logs=logs, commands=commands, grace_s=grace_s)
    argv = [sys.executable, "-c", program]
    return subprocess.Popen(argv, cwd=project.ROOT, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_every_part_and_is_one_line(tmp_path: Path, number: int) -> None:
    logs = [tmp_path / "a", tmp_path / "b"]
    child = start([str(log) for log in logs], [SLEEP, SLEEP], 20)
    for log in logs:
        wait_until(log)
    child.send_signal(number)
    _, errors = child.communicate(timeout=180)
    assert child.returncode == ui.INTERRUPTED
    assert errors.splitlines() == ["setup     interrupted; run it again to go on"]
    assert all(map(is_dead, logs))


def test_a_second_interrupt_is_passed_on(tmp_path: Path) -> None:
    stubborn = ["bash", "-c", 'trap "((n++)) && exit" INT; echo $$; while :; do sleep .1; done']
    child = start([str(tmp_path / "a")], [stubborn], 60)
    wait_until(tmp_path / "a")
    child.send_signal(signal.SIGINT)
    time.sleep(1)
    assert child.poll() is None
    child.send_signal(signal.SIGINT)
    child.communicate(timeout=180)
    assert child.returncode == ui.INTERRUPTED
    assert is_dead(tmp_path / "a")


def test_the_progress_of_several_parts_shares_one_line_of_a_terminal(tmp_path: Path) -> None:
    program = (
        "import sys, os; from pathlib import Path; from scripts.shared import ui\n"
        "from scripts.commands.setup.parts import side_by_side\n"
        "def run(part):\n"
        "    argv = ['sleep', '2.5']\n"
        f"    ui.run(part, 'w' * 40, argv, log=Path({str(tmp_path)!r}) / part)\n"
        "    ui.say(part, 'done')\n"
        "with side_by_side() as parts:\n"
        "    parts.start('one', lambda: run('one'))\n"
        "    parts.start('two', lambda: run('two'))\n"
    )
    leader, follower = pty.openpty()
    argv = [sys.executable, "-c", program]
    environ = {**os.environ, "COLUMNS": "80"}
    with subprocess.Popen(argv, cwd=project.ROOT, stderr=follower, env=environ) as child:
        os.close(follower)
        text = b""
        try:
            while part := os.read(leader, 4096):
                text += part
        except OSError:  # How the end of a terminal is told on Linux.
            pass
        assert child.wait() == 0
    os.close(leader)
    screens = [re.sub(r"\x1b\[K", "", line) for line in re.split(r"[\r\n]+", text.decode())]
    both = [line for line in screens if " | " in line]
    assert both
    assert all(re.fullmatch(r"(one|two)       w+ \| (one|two)       w+", line) for line in both)
    assert all(len(line) < 80 for line in screens)
    assert [line for line in screens if line.endswith("done")] in (
        ["one       done", "two       done"],
        ["two       done", "one       done"],
    )
