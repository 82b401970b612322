"""A real slowdown is found, noise is not."""

import http.server
import json
import random
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.unit.workloads.test_comparison import compared
from workloads.__main__ import main
from workloads.comparison import trend


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
        [0.0] * 20 + [5.0] * 3,
    ],
)
def test_what_is_too_little_says_nothing(values: list[float]) -> None:
    assert not trend.worse(values, more_is_better=False)


@pytest.fixture
def server() -> Iterator[tuple[str, list[float]]]:
    """A server that takes as many seconds for an answer as the test says."""
    takes = [0.004]

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            time.sleep(takes[0])
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", takes
        server.shutdown()
        thread.join()


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

    def night(number: int, factor: float) -> str:
        figures = [figure | {"value": figure["value"] * factor} for figure in line["figures"]]
        return json.dumps({"started": f"2025-01-{number:02}", "figures": figures}) + "\n"

    # The latest is the comparison itself: two nights before it were as slow, the others quick.
    history.write_text(
        "".join(night(number, 0.5 if number < 15 else 1.0) for number in range(1, 17))
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
