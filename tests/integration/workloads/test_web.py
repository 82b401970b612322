"""The page of a run that goes on: what it tells, to whom, and that it holds nothing up."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from tests.integration.workloads.browser import Page, dump
from tests.unit.workloads.builders import plan
from workloads import CannotRunError
from workloads import web as module
from workloads.load.backlog import Sent
from workloads.web import Web
from workloads.web.server import MOST_POINTS, State

ROOT = Path(__file__).parents[3]


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    monkeypatch.setattr(module, "EVERY_S", 0.0)
    with Web(0, Path("results/one")) as made:
        made.begin(plan())
        yield made


def stats(rate: float = 40.0, p95: float = 120.0) -> Any:
    """What Locust has counted, as far as the page asks."""

    def entry(name: str) -> SimpleNamespace:
        return SimpleNamespace(
            name=name,
            method="POST",
            num_requests=100,
            num_failures=2,
            current_rps=20.04,
            get_response_time_percentile=lambda share: 1000 * share,
        )

    total = SimpleNamespace(
        current_rps=rate,
        num_failures=4,
        num_requests=200,
        get_current_response_time_percentile=lambda _: p95,
    )
    names = ("runs/update", "runs/create")
    return SimpleNamespace(total=total, entries={name: entry(name) for name in names})


def get(address: str, **headers: str) -> bytes:
    request = urllib.request.Request(address, headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return bytes(answer.read())


def now(web: Web, since: float = 0, points: int = 0) -> dict[str, Any]:
    """The state, once it has so many points: what is told arrives a moment later."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        state: dict[str, Any] = json.loads(get(f"{web.address}now?since={since}"))
        if "phase" in state and len(state["points"]) >= points:
            return state
        time.sleep(0.02)
    raise AssertionError(state)


def test_phases_and_figures_are_told(web: Web) -> None:
    web.phase("load of 8 users", 15.0)
    web.load(stats())
    state = now(web, points=1)
    assert state["title"] == "training against local"
    assert (state["phase"], state["seconds"]) == ("load of 8 users", 15.0)
    assert 0 <= state["now"] - state["since"] < 60
    [point] = state["points"]
    assert (point["rate"], point["errors"], point["p95"]) == (40, 4, 120)
    assert state["operations"] == [
        ["POST runs/create", 100, 2, 20.0, 500, 950, 990],
        ["POST runs/update", 100, 2, 20.0, 500, 950, 990],
    ]
    assert now(web, since=point["at"])["points"] == []


def test_what_clients_send_of_traces_is_told(web: Web) -> None:
    web.load(stats(), Sent(unsent=40, spans=500, dropped=3))
    [point] = now(web, points=1)["points"]
    assert (point["unsent"], point["spans"], point["dropped"]) == (40, 500, 3)


def test_words_of_what_is_done_elsewhere_are_told(web: Web) -> None:
    """Of what is read back, there are only words."""
    web.phase("reading back", None)
    web.figures("12 of 40")
    deadline = time.monotonic() + 10
    while now(web)["figures"] != "12 of 40":
        assert time.monotonic() < deadline
    assert now(web)["seconds"] is None


def test_it_is_told_once_a_second_whatever_is_asked(
    web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EVERY_S", 1.0)
    web.phase("load", 15.0)
    for _ in range(200):
        web.load(stats())
    web.phase("finishing", None)
    time.sleep(0.2)
    assert now(web)["points"] == []


@pytest.mark.parametrize(
    ("path", "headers", "method", "status"),
    [
        ("now", {"Host": "evil.example"}, "GET", 403),
        ("now", {"Host": "127.0.0.1.evil.example:8089"}, "GET", 403),
        ("now", {}, "POST", 501),
        ("stop", {}, "GET", 404),
        ("../__main__.py", {}, "GET", 404),
        ("now?since=never", {}, "GET", 200),
    ],
)
def test_it_is_read_only_and_for_this_machine(
    web: Web, path: str, headers: dict[str, str], method: str, status: int
) -> None:
    request = urllib.request.Request(f"{web.address}{path}", headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            found = answer.status
            assert "Access-Control-Allow-Origin" not in answer.headers
    except urllib.error.HTTPError as error:
        found = error.code
        error.close()
    assert found == status
    [listening] = [
        one.laddr.ip
        for one in psutil.Process(web._server.pid).net_connections()
        if one.status == psutil.CONN_LISTEN
    ]
    assert listening == "127.0.0.1"


def test_the_port_is_free_at_the_end() -> None:
    with Web(0, Path("x")) as web:
        port = int(web.address.rsplit(":", 1)[1].strip("/"))
        get(web.address)
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with Web(port, Path("x")) as web:
        get(web.address)


@pytest.mark.parametrize("port", [None, 70000])
def test_a_port_that_cannot_be_had_is_one_line(port: int | None) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        wanted = port or taken.getsockname()[1]
        with pytest.raises(CannotRunError, match=rf"^--web {wanted}: .+; give another port$"):
            Web(wanted, Path("x"))


def test_a_page_that_hangs_holds_nothing_up(web: Web) -> None:
    os.kill(web._server.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        for _ in range(2000):
            web.load(stats())
        assert time.monotonic() - began < 5
    finally:
        os.kill(web._server.pid, signal.SIGCONT)
    web.phase("finishing", None)
    assert now(web, points=1)["points"]


def test_a_page_that_ended_holds_nothing_up(web: Web) -> None:
    web._server.kill()
    web._server.wait()
    web.load(stats())
    web.phase("finishing", None)


def test_it_ends_with_a_run_that_was_killed() -> None:
    script = (
        "from pathlib import Path; import time; from workloads.web import Web\n"
        "web = Web(0, Path('x')); print(web.address, web._server.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as run:
        assert run.stdout
        address, pid = run.stdout.readline().decode().split()
        get(address)
        run.kill()
    psutil.wait_procs([psutil.Process(int(pid))] if psutil.pid_exists(int(pid)) else [], timeout=10)
    with pytest.raises(OSError, match="refused"):
        get(address)


def test_points_of_a_long_run_are_thinned_out() -> None:
    state = State()
    for number in range(3 * MOST_POINTS):
        state.take(json.dumps({"point": {"rate": number}, "now": float(number), "phase": "load"}))
    state.take('{"point": {"ra')  # torn
    points = json.loads(state.since(-1))["points"]
    assert MOST_POINTS / 2 <= len(points) <= MOST_POINTS
    assert points[-1]["rate"] == 3 * MOST_POINTS - 1
    assert points[0]["rate"] < 10


def test_the_page_draws_traces_where_there_are_any(web: Web, chromium: str, tmp_path: Path) -> None:
    web.phase("load", 15.0)
    for number in range(3):
        web.load(stats(), Sent(unsent=40 + number, spans=500 * number, dropped=7))
    now(web, points=3)
    source, log = dump(chromium, tmp_path, web.address, "--virtual-time-budget=3000")
    assert "CONSOLE" not in log
    page = Page(source)
    lines = [len((one["points"] or "").split()) for one in page.all("polyline")]
    assert sorted(lines) == [2, 3, 3, 3]  # a rate of spans is of two points
    hidden = [one for one in (*page.all("dl"), *page.all("section")) if "hidden" in one]
    assert hidden == []
    assert "spans that clients dropped so far7" in page.text


def test_the_page_draws_what_it_is_told(web: Web, chromium: str, tmp_path: Path) -> None:
    web.phase("warm-up", 4.0)
    web.load(stats(10, 90))
    web.phase("load of </script><b>8 users", 15.0)
    for rate in (30, 50):
        web.load(stats(rate, 150))
    now(web, points=3)
    source, log = dump(chromium, tmp_path, web.address, "--virtual-time-budget=3000")
    assert "CONSOLE" not in log
    page = Page(source)
    assert len([e for e in page.all("polyline") if len((e["points"] or "").split()) == 3]) == 2
    assert len(page.all("line", class_="phase")) == 2
    assert len(page.all("line", class_="limit")) == 1
    assert "load of </script><b>8 users" in page.text
    assert "POST runs/create1002" in page.text
