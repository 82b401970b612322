"""The generator against real HTTP servers: what a measurement must show, and must not hide."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import psutil
import pytest

from workloads.checkers import validity
from workloads.history import history, record
from workloads.history.record import Record
from workloads.plan.plan import Load
from workloads.verdict import figures
from workloads.verdict.result import Gate

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
    command = [sys.executable, "-m", "tests.integration.workloads.drive", what, uri, str(folder)]
    command += [scenario, str(users), str(rate), str(seconds)]
    subprocess.run(command, cwd=ROOT, timeout=120, check=True, capture_output=True)
    return record.load(folder / "history.jsonl")


@pytest.fixture(scope="module")
def stalled() -> Iterator[str]:
    with serving("tests.integration.workloads.stalling_server") as uri:
        yield uri


@pytest.fixture(scope="module")
def slow() -> Iterator[str]:
    """A server of one worker that takes 50 ms for each call."""
    with serving("tests.integration.workloads.slow_server") as uri:
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
    assert got.response_time
    for values, found in ((services, got), (waits, got.response_time)):
        cuts = quantiles(values, n=100, method="inclusive")
        assert found.p50_ms == pytest.approx(cuts[49])
        assert found.p95_ms == pytest.approx(cuts[94])


def test_the_ceiling_is_taken_with_the_whole_harness(closed: Record) -> None:
    ceiling = validity.ceiling(closed)
    assert ceiling
    assert ceiling > 50
    assert f"{ceiling:.0f} calls/s" in gate(closed, "generator's ceiling").measured


def test_the_ceiling_is_that_of_the_scenarios_own_calls(
    closed: Record, stalled: str, tmp_path: Path
) -> None:
    """Calls with a hundred times the metrics take the generator far longer to make."""
    plain = validity.ceiling(closed)
    heavy = validity.ceiling(drive(stalled, tmp_path, "metrics", 1, 0, 1, what="heavy"))
    assert plain
    assert heavy
    assert heavy < plain / 2


def test_the_priority_of_the_generator_is_recorded(closed: Record) -> None:
    program = (
        "import contextlib, os\n"
        "with contextlib.suppress(OSError): os.setpriority(os.PRIO_PROCESS, 0, -5)\n"
        "print(os.nice(0))"
    )
    allowed = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, check=True
    )
    assert {line["process"] for line in closed.other["priority"]} == {0, 1}
    assert validity.nice(closed) == int(allowed.stdout)


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
                if "tests.integration.workloads.drive" in " ".join(_command(child))
                and "tests.integration.workloads.drive" in " ".join(_command(child.parent()))
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


def test_what_waits_at_the_end_is_still_done(slow: str, tmp_path: Path) -> None:
    """Of 40 planned calls a second 20 are answered: the rest is done after the load, by all users.

    None is left over, none is lost between the processes, and the rate is what was answered.
    """
    found = drive(slow, tmp_path, "metrics", 4, 40, 3)
    [window] = found.windows
    calls = found.of_type(found.within(window), "call")
    due = [t for t in found.operations["planned"] if t != record.NEVER]
    assert found.dropped(window) == 0
    assert len(calls) == pytest.approx(120, rel=0.3)
    assert len(set(due)) == len(due), "each arrival is one user's"
    assert (calls["completed"] > window.end_ns).sum() > len(calls) / 3
    assert figures.calls(found, window).rate == pytest.approx(20, rel=0.25)


@pytest.mark.quiet
def test_a_call_waits_for_no_user_while_another_one_is_free(tmp_path: Path) -> None:
    """Two users of two processes: while one waits for an answer, the other takes what is due."""
    with serving("tests.integration.workloads.holding_server") as uri:
        found = drive(uri, tmp_path, "metrics", 2, 10, 8)
    waits = figures.waits_ms(found.of_type(found.within(found.windows[0]), "call"))
    assert len(waits) == pytest.approx(80, rel=0.4)
    assert 1 <= (waits > 1500).sum() <= 2, "those that the server held"
    assert (waits > 500).sum() <= 8, "25 where each process had arrivals of its own"


def test_what_cannot_be_done_in_time_is_told(slow: str, tmp_path: Path) -> None:
    found = drive(slow, tmp_path, "metrics", 2, 200, 3, what="hasty")
    [window] = found.windows
    calls = found.of_type(found.within(window), "call")
    left = found.dropped(window)
    assert left > 100
    assert left + len(calls) == pytest.approx(600, rel=0.2)
    assert not set(found.other["unserved"][0]["planned_ns"]) & set(calls["planned"].tolist())


def test_a_load_that_cannot_reach_its_objective_ends_early(stalled: str, tmp_path: Path) -> None:
    """No two users make a hundred thousand calls a second."""
    found = drive(stalled, tmp_path, "metrics", 2, 0, 60, what="early")
    [window] = found.windows
    assert 5 <= window.seconds < 20
    assert found.finished
    assert found.ended_early
    assert "the objective is 100000.0/s" in found.ended_early["why"]
    assert window.begin_ns < found.ended_early["mono_ns"] <= window.end_ns


@pytest.mark.parametrize("where", ["watched", "elsewhere"])
def test_a_load_is_on_its_page_while_it_goes_on(stalled: str, tmp_path: Path, where: str) -> None:
    """A load from a pod of a cluster, too."""
    command = [sys.executable, "-m", "tests.integration.workloads.drive", where, stalled]
    command += [str(tmp_path), "metrics", "4", "0", "4"]
    seen: dict[str, dict[str, Any]] = {}
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout
        lines = iter(run.stdout)
        address = next(line for line in lines if line.startswith("http")).strip()
        while run.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"{address}now", timeout=5) as answer:
                state = json.loads(answer.read())
                if "phase" in state:
                    seen[state["phase"]] = state
            time.sleep(0.2)
        assert run.returncode == 0
    state = seen["load of 4 users"]
    assert state["title"] == "metrics against test"
    assert state["points"][-1]["errors"] == 0
    batches = next(row for row in state["operations"] if row[0] == "POST runs/log-batch")
    assert batches[1] > 0
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(address, timeout=5)
