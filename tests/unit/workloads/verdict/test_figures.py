"""Figures equal those of an independent computation on the raw record."""

import math
import random
from pathlib import Path

import numpy as np
import pytest

from tests.unit.workloads.builders import Folder, S, stage
from workloads.history import record
from workloads.plan.plan import Load
from workloads.verdict import figures
from workloads.verdict.result import OperationFigures


def by_hand(values: list[float], share: float) -> float:
    """Percentile by its definition: linear between the two neighbours in the sorted list."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def rows(folder: Folder) -> dict[str, OperationFigures]:
    read = record.load(folder.save() / "history.jsonl")
    return {row.name: row for row in figures.table(read, read.windows[0])}


@pytest.mark.parametrize("size", [1000, 1001, 4567])
def test_percentiles_are_exact(size: int) -> None:
    random.seed(size)
    values = [random.lognormvariate(3, 1) for _ in range(size)]
    got = figures.latency(np.array(values))
    assert got.p50_ms == pytest.approx(by_hand(values, 0.5))
    assert got.p95_ms == pytest.approx(by_hand(values, 0.95))
    assert got.p99_ms == pytest.approx(by_hand(values, 0.99))
    assert got.max_ms == max(values)


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, (False, False, False)),
        (1, (True, False, False)),
        (19, (True, False, False)),
        (20, (True, True, False)),
        (999, (True, True, False)),
        (1000, (True, True, True)),
    ],
)
def test_too_few_samples_give_no_figure(size: int, shown: tuple[bool, ...]) -> None:
    got = figures.latency(np.ones(size))
    assert tuple(p is not None for p in (got.p50_ms, got.p95_ms, got.p99_ms)) == shown


def test_warm_up_and_what_comes_after_are_left_out(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run(calls=100)
    before = rows(folder)[figures.ALL_CALLS]
    folder.call(101.9, ms=5000)
    folder.call(112.1, ms=5000)
    assert rows(folder)[figures.ALL_CALLS] == before
    assert before.count == 102
    assert before.rate == pytest.approx(10.2)


def test_errors_count_and_their_latency_does_not(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run(calls=100)
    before = rows(folder)[figures.ALL_CALLS]
    folder.call(105, ms=60_000, outcome="info", error="ReadTimeout: no answer")
    folder.call(105, ms=60_000, outcome="fail", error="HTTP 404")
    folder.call(105, outcome=None)
    after = rows(folder)[figures.ALL_CALLS]
    assert (after.count, after.errors) == (before.count + 3, 3)
    assert (after.max_ms, after.rate) == (before.max_ms, before.rate)
    read = record.load(folder.path / "history.jsonl")
    assert set(figures.errors(read)) == {
        "POST runs/log-batch: ReadTimeout: no answer",
        "POST runs/log-batch: HTTP 404",
        "POST runs/log-batch: ended without an answer",
    }


def test_what_failed_is_told_where_it_was_planned(tmp_path: Path) -> None:
    """An export may wait in its client's queue until long after the stage, and counts in it."""
    folder = Folder(tmp_path).good_run(calls=100)
    folder.call(119, planned_ns=105 * S, outcome="fail", error="HTTP 503")
    assert rows(folder)[figures.ALL_CALLS].errors == 1
    read = record.load(folder.path / "history.jsonl")
    assert figures.errors(read) == {"POST runs/log-batch: HTTP 503": 1}


def test_background_calls_count_and_are_not_timed(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run(calls=100)
    before = rows(folder)[figures.ALL_CALLS]
    folder.call(105, ms=900, background=True)
    after = rows(folder)[figures.ALL_CALLS]
    assert (after.count, after.background) == (before.count + 1, 1)
    assert after.max_ms == before.max_ms


def test_steps_are_not_calls(tmp_path: Path) -> None:
    got = rows(Folder(tmp_path).good_run(calls=100))
    assert got["curves"].type == "step"
    assert got["curves"].p50_ms == pytest.approx(700)
    assert got[figures.ALL_CALLS].count == 102


def test_the_margin_of_a_rate_holds_the_true_rate(tmp_path: Path) -> None:
    """Of 100 stages of a random load of 50/s, about 95 intervals hold 50."""
    from workloads.history.record import FIELDS, NEVER, Window

    window = Window(stage(), 0, 0, 20 * S)
    held = 0
    for seed in range(100):
        chance = np.random.default_rng(seed)
        begun = np.cumsum(chance.exponential(1 / 50, 2000))
        begun = begun[begun < 20]
        rows = np.zeros(len(begun), dtype=FIELDS)
        rows["invoked"], rows["ok"], rows["planned"] = begun * S, True, NEVER
        margin = figures.rate_margin(rows, window)
        assert margin
        held += abs(len(begun) / 20 - 50) <= margin
    assert 88 <= held <= 100
    assert figures.rate_margin(rows[:99], window) is None


def overloaded(folder: Folder) -> Folder:
    """Of 60 planned calls a second the server answers 30: each waits for half of the time past."""
    folder.api_run(stage(name="60/s", load=Load.OPEN, rate=60, users=4), calls=0)
    for call in range(600):
        planned = 102 + call / 60
        begun = 102 + call / 30
        folder.call(begun, ms=20, planned_ns=int(planned * S), queued=True)
    return folder


def test_the_rate_is_that_of_the_answers_and_not_of_the_plan(tmp_path: Path) -> None:
    got = rows(overloaded(Folder(tmp_path)))[figures.ALL_CALLS]
    assert got.count == 600, "all of them belong to the stage, with all of their waiting"
    assert got.rate == pytest.approx(30, abs=0.2)
    assert got.rate_margin is not None
    assert got.rate_margin < 1
    assert got.response_time
    assert got.response_time.max_ms == pytest.approx(10_000, rel=0.01)


def test_answers_of_what_was_planned_before_are_work_done_too(tmp_path: Path) -> None:
    folder = Folder(tmp_path).api_run(stage(name="60/s", load=Load.OPEN, rate=60, users=4))
    before = rows(folder)[figures.ALL_CALLS]
    for _ in range(100):
        folder.call(105, planned_ns=int(101 * S), queued=True)
    after = rows(folder)[figures.ALL_CALLS]
    assert after.count == before.count
    assert after.rate == pytest.approx(before.rate + 10)
