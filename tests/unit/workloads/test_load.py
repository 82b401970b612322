"""The generator against real HTTP servers: what a measurement must show, and must not hide."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import quantiles

import numpy as np
import psutil
import pytest

from workloads import figures, history, record
from workloads.checkers import validity
from workloads.plan import Load
from workloads.record import Record
from workloads.result import Gate

ROOT = Path(__file__).parents[3]
Runner = Callable[..., Record]


@contextmanager
def serving(module: str) -> Iterator[str]:
    """A server of this module on loopback, which ends with its input."""
    command = [sys.executable, "-m", module]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout
        assert server.stdin
        yield f"http://127.0.0.1:{server.stdout.readline().strip()}"
        server.stdin.close()
        assert server.wait(10) == 0


def drive(
    uri: str,
    folder: Path,
    scenario: str,
    users: int,
    rate: float,
    seconds: float,
    *,
    what: str = "load",
) -> Record:
    command = [sys.executable, "-m", "tests.unit.workloads.drive", what, uri, str(folder)]
    command += [scenario, str(users), str(rate), str(seconds)]
    subprocess.run(command, cwd=ROOT, timeout=120, check=True, capture_output=True)
    return record.load(folder / "history.jsonl")


@pytest.fixture(scope="module")
def stalled() -> Iterator[str]:
    with serving("tests.unit.workloads.stalling_server") as uri:
        yield uri


@pytest.fixture(scope="module")
def opened(stalled: str, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """80 planned calls a second against the server that stalls."""
    return drive(stalled, tmp_path_factory.mktemp("open"), "metrics", 32, 80, 8)


@pytest.fixture(scope="module")
def closed(stalled: str, tmp_path_factory: pytest.TempPathFactory) -> Record:
    """One user, back to back, against the same server."""
    return drive(stalled, tmp_path_factory.mktemp("closed"), "metrics", 1, 0, 8)


def gate(found: Record, name: str) -> Gate:
    gates = validity.stage_gates(found, found.windows[-1])
    return next(gate for gate in gates if gate.name == name)


def test_a_stall_moves_the_planned_latency_and_hardly_the_closed_one(
    opened: Record, closed: Record
) -> None:
    """The server stands still for a fifth of the time: nobody knows that who only waits."""
    waits = figures.waits_ms(figures.timed(opened.within(opened.windows[0])))
    assert np.percentile(waits, 95) > 120
    alone = record.durations_ms(figures.timed(closed.within(closed.windows[0])))
    assert len(alone) > 8 * 100
    assert np.percentile(alone, 95) < 60


def test_planned_calls_come_as_planned(opened: Record) -> None:
    [window] = opened.windows
    calls = opened.within(window)
    assert window.stage.load is Load.OPEN
    assert len(calls) == pytest.approx(80 * 8, rel=0.15)  # Poisson: 4 % is one deviation
    gaps = np.diff(np.sort(calls["planned"])) / 1e9
    assert gaps.std() / gaps.mean() == pytest.approx(1, abs=0.2)  # of an exponential it is 1


def test_percentiles_equal_those_of_the_raw_lines(opened: Record) -> None:
    """Recomputed from the lines with the standard library's own method of the same definition."""
    [window] = opened.windows
    rows = opened.within(window)
    got = figures.calls(opened, window)
    services = [(c - i) / 1e6 for c, i in zip(rows["completed"], rows["invoked"], strict=True)]
    waits = [(c - p) / 1e6 for c, p in zip(rows["completed"], rows["planned"], strict=True)]
    assert got.intended
    for values, found in ((services, got), (waits, got.intended)):
        cuts = quantiles(values, n=100, method="inclusive")
        assert found.p50_ms == pytest.approx(cuts[49])
        assert found.p95_ms == pytest.approx(cuts[94])


def test_the_ceiling_is_taken_with_the_whole_harness(closed: Record) -> None:
    ceiling = validity.ceiling(closed)
    assert ceiling
    assert ceiling > 50
    assert f"{ceiling:.0f} calls/s" in gate(closed, "generator's ceiling").measured


def test_processes_that_are_slow_to_listen_miss_no_stage(stalled: str, tmp_path: Path) -> None:
    taken = drive(stalled, tmp_path, "metrics", 2, 0, 2, what="late")
    calls = taken.within(taken.windows[0])
    assert set(calls["user"]) == {0, 1}


def test_a_throttled_generator_does_not_count(stalled: str, tmp_path: Path) -> None:
    """Its processes are stopped for 60 ms in every 120 ms, as on a machine that is too busy."""
    done = threading.Event()

    def throttle() -> None:
        me = psutil.Process()
        while not done.is_set():
            children = [
                child
                for child in me.children(recursive=True)
                if "tests.unit.workloads.drive" in " ".join(_command(child))
                and "tests.unit.workloads.drive" in " ".join(_command(child.parent()))
            ]
            for sign, seconds in ((signal.SIGSTOP, 0.06), (signal.SIGCONT, 0.06)):
                for child in children:
                    with suppress(ProcessLookupError):
                        os.kill(child.pid, sign)
                time.sleep(seconds)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        found = drive(stalled, tmp_path, "metrics", 16, 40, 5)
    finally:
        done.set()
        thread.join()
    assert gate(found, "schedule lag").passed is False
    assert gate(found, "loop lag while a call waits").passed is False


def _command(process: psutil.Process | None) -> list[str]:
    with suppress(psutil.Error):
        return process.cmdline() if process else []
    return []


def test_a_burst_is_at_once(stalled: str, tmp_path: Path) -> None:
    found = drive(stalled, tmp_path, "burst", 8, 0, 4)
    calls = [o for o in history.operations(tmp_path / "history.jsonl") if o.planned_ns]
    moments = {o.planned_ns for o in calls}
    assert len(moments) >= 2
    assert all(sum(o.planned_ns == moment for o in calls) == 8 for moment in moments)
    assert figures.lags_ms(found.within(found.windows[0])).min() >= 0
