"""A real slowdown is found, noise is not."""

import json
import random
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.serving import Handler, serving
from tests.unit.workloads.comparison.test_table import compared
from workloads.commands.application import main
from workloads.comparison import saved_results, table, trend


def nights(noise: float, seed: int, *levels: tuple[int, float]) -> list[float]:
    """Log-normal noise around levels, each for so many nights."""
    chance = random.Random(seed)
    return [level * np.exp(chance.gauss(0, noise)) for count, level in levels for _ in range(count)]


@pytest.mark.parametrize("noise", [0.02, 0.05, 0.15, 0.3])
def test_noise_is_no_change(noise: float) -> None:
    series = [nights(noise, seed, (60, 100)) for seed in range(10)]
    ends = range(10, 61, 2)
    alarms = [
        trend.worse(values[:end], more_is_better=better)
        for values in series
        for end in ends
        for better in (True, False)
    ]
    assert sum(alarms) / len(alarms) <= 0.002


@pytest.mark.parametrize(
    ("noise", "factor", "more_is_better"),
    [(0.02, 1.2, False), (0.02, 1 / 1.2, True), (0.05, 1.4, False), (0.15, 2.5, False)],
)
def test_a_slowdown_is_found_after_three_nights(
    noise: float, factor: float, more_is_better: bool
) -> None:
    series = [nights(noise, seed, (14, 100), (3, 100 * factor)) for seed in range(50)]
    found = [trend.worse(values, more_is_better=more_is_better) for values in series]
    assert sum(found) >= 45
    assert not any(trend.worse(values, more_is_better=not more_is_better) for values in series)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [1.0] * 9 + [5.0],
        [1.0, 1.1] * 10 + [9.0],  # one slow night
        [1.0, 1.1] * 10 + [9.0, 1.0, 9.0],  # the middle one of three was as ever
        [1.0] * 20 + [1.05] * 3,  # less than a tenth
        [0.0] * 23,
        [0.0, 0.0, 1.0] * 7 + [0.0, 1.0, 0.0],
    ],
)
def test_what_is_too_little_says_nothing(values: list[float]) -> None:
    assert not trend.worse(values, more_is_better=False)


@pytest.mark.parametrize(
    ("values", "more_is_better"),
    [
        ([0.0] * 20 + [5.0] * 3, False),
        ([0.0] * 7 + [50.0] * 3, False),
        ([3.0, 0.0, 2.0] * 6 + [50.0] * 3, False),  # one 0 does not silence the others
        ([8.0] * 20 + [0.0] * 3, True),
    ],
)
def test_a_zero_does_not_silence_a_series(values: list[float], more_is_better: bool) -> None:
    assert trend.worse(values, more_is_better=more_is_better)


def night(number: int, value: float, **changes: Any) -> dict[str, Any]:
    """A line of a history with one figure."""
    figure = {"name": "local: lost", "unit": "", "more_is_better": False, "value": value}
    when = f"2025-01-{number:02}"
    return {"started": when, "machine": "2 cores", "figures": [figure | changes]}


def test_what_is_lost_is_told_after_one_night() -> None:
    lines = [night(1, 0, fact=True), night(2, 50, fact=True)]
    assert list(map(str, trend.changes(lines))) == [
        "local: lost: 50 in the last comparison, 0 in the one before"
    ]
    assert list(trend.changes(lines[:1])) == []
    assert list(trend.changes([*lines, night(3, 0, fact=True)])) == []
    assert list(trend.changes([night(1, 0), night(2, 50)])) == []  # noise, perhaps


def test_nights_on_another_machine_are_another_series() -> None:
    lines = [night(number, 1.0 + number / 100) for number in range(1, 13)]
    lines += [night(number, 9.0) for number in range(13, 16)]
    assert list(trend.changes(lines))
    for line in lines[-3:]:
        line["machine"] = "64 cores"
    assert list(trend.changes(lines)) == []


def test_what_only_a_late_generator_made_worse_is_not_remembered(tmp_path: Path) -> None:
    folder = compared(tmp_path / "now", {"local": 20.0})
    run = folder / "0-0-local" / "metrics" / "result.json"
    gate = {"name": "", "limit": "", "measured": "", "remedy": "", "passed": False}
    found = json.loads(run.read_text()) | {"gates": [gate | {"one_sided": True}]}
    run.write_text(json.dumps(found))
    (line,) = trend.remember(tmp_path / "history", table.compare(saved_results.load([folder])))
    names = [figure["name"] for figure in line["figures"]]
    assert not any("p95" in name or "calls" in name for name in names)
    facts = [figure["name"] for figure in line["figures"] if figure["fact"]]
    assert facts == [f"local, durability, all runs: {what}" for what in ("lost", "duplicates")]


@pytest.fixture
def server() -> Iterator[tuple[str, list[float]]]:
    """A server that takes as many seconds for an answer as the test says."""
    takes = [0.004]

    class Slow(Handler):
        def do_GET(self) -> None:
            time.sleep(takes[0])
            self.answer()

    with serving(Slow) as address:
        yield address, takes


def test_a_server_that_really_got_slower_is_found(server: tuple[str, list[float]]) -> None:
    address, takes = server

    def median_s() -> float:
        spent = []
        for _ in range(15):
            began = time.perf_counter()
            urllib.request.urlopen(address).close()
            spent.append(time.perf_counter() - began)
        return float(np.median(spent))

    values = [median_s() for _ in range(12)]
    assert not trend.worse(values, more_is_better=False)
    takes[0] = 0.02
    assert trend.worse([*values, *(median_s() for _ in range(3))], more_is_better=False)


def test_the_history_grows_and_the_status_says_what_got_worse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = compared(tmp_path / "now", {"local": 20.0, "multi-az": 40.0})
    history = tmp_path / "history.jsonl"
    arguments = ["compare", str(folder), "--history", str(history)]
    assert main(arguments) == 0
    assert "1 comparisons, nothing got worse; it says something from 10 on" in (
        capsys.readouterr().out
    )
    main(arguments)  # the same one again is not another night
    (line,) = map(json.loads, history.read_text().splitlines())

    def earlier(number: int, factor: float) -> str:
        figures = [figure | {"value": figure["value"] * factor} for figure in line["figures"]]
        return json.dumps({"started": f"2025-01-{number:02}", "figures": figures}) + "\n"

    # The latest is the comparison itself: two nights before it were as slow, the others quick.
    history.write_text(
        "".join(earlier(number, 0.5 if number < 15 else 1.0) for number in range(1, 17))
    )
    assert main(arguments) == 1
    said = capsys.readouterr().out
    assert "worse: multi-az, metrics, 2 users: p95 (ms): 4" in said
    assert "calls" not in said.partition("worse:")[2]  # twice as many are better


@pytest.mark.parametrize("text", ["{", '{"started": 1, "figures": []}', '{"figures": [{}]}', "[]"])
def test_a_damaged_history_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    folder = compared(tmp_path / "now", {"local": 20.0})
    history = tmp_path / "history.jsonl"
    history.write_text(text + "\n")
    assert main(["compare", str(folder), "--history", str(history)]) == 2
    assert "line 1 is damaged; take it out" in capsys.readouterr().err
