"""The report in headless Chromium: drawn, whole, quiet, and without a request."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.workloads.browser import Page, dump, width
from tests.serving import Handler, serving
from tests.unit.workloads.builders import Folder
from tests.unit.workloads.verdict.test_stages import climb, observe
from workloads.verdict.judge import conclude


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Folder(tmp_path_factory.mktemp("run")).good_run(calls=1200)
    folder.call(105, outcome="info", error="HTTP 500: <script>alert(1)</script>")
    folder.call(105, writes=[["param", "r1", "</script><b>bad", "1"]])
    return conclude_in(folder)


def conclude_in(folder: Folder) -> Path:
    path = folder.save()
    conclude(path)
    return path / "report.html"


@pytest.fixture(scope="module")
def drawn(
    chromium: str, report: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Page, str]:
    source, log = dump(chromium, tmp_path_factory.mktemp("profile"), report.as_uri())
    return Page(source), log


def test_every_plot_is_drawn(drawn: tuple[Page, str]) -> None:
    page, _ = drawn
    plots = page.all("div", role="img")
    assert [p["id"] for p in plots] == [
        "plot-latency",
        "plot-throughput",
        "plot-distribution",
        "plot-percentiles",
    ]
    assert all("js-plotly-plot" in (p["class"] or "") for p in plots)
    points = [e for e in page.all("path", class_="point") if e.get("d")]
    assert len(points) > 1200  # a mark for each call, and a bar for each second
    lines = [e for e in page.all("path", class_="js-line") if len(e["d"] or "") > 20]
    assert len(lines) == 3  # p50, p95, all percentiles; besides short marks in the legend
    assert len(page.all("path", class_="box")) == 5  # four calls and a step


def test_the_console_is_silent(drawn: tuple[Page, str]) -> None:
    assert "CONSOLE" not in drawn[1]


def test_verdict_figures_and_findings_are_there(drawn: tuple[Page, str]) -> None:
    text = re.sub(r"\s+", " ", drawn[0].text)
    assert "Verdict: bad" in text
    assert "1 of 1204 calls failed" in text
    assert "HTTP 500: <script>alert(1)</script>" in text
    assert "lost: param </script><b>bad = 1 of run r1" in text
    for part in ("all API calls", "metric point", "loop lag while a call waits", "sha256:12ab"):
        assert part in text
    assert "python -m workloads run --stack local --scenario training" in text


def test_it_can_be_read_without_eyes_and_mouse(drawn: tuple[Page, str]) -> None:
    page, _ = drawn
    assert page.all("html", lang="en")
    assert [t for t, _ in page.elements if t in ("h1", "h2")][:2] == ["h1", "h2"]
    for plot in page.all("div", role="img"):
        assert len(plot["aria-label"] or "") > 60
    assert page.all("table")
    assert all(th.get("scope") in ("col", "row") for th in page.all("th"))
    ids = {attributes.get("id") for _, attributes in page.elements}
    for _, attributes in page.elements:
        for reference in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(reference) in {*ids, None}
    assert all(e.get("tabindex") == "0" for e in page.all("div", class_="scroll"))


def test_colours_follow_the_scheme(chromium: str, report: Path, tmp_path: Path) -> None:
    def grid(flag: str) -> set[str]:
        source, _ = dump(chromium, tmp_path / flag, report.as_uri(), flag)
        grids = [e for e in Page(source).all("path") if "grid" in (e.get("class") or "")]
        return {found for e in grids for found in re.findall("stroke: (rgb.*?);", str(e["style"]))}

    light = grid("--blink-settings=preferredColorScheme=1")
    dark = grid("--blink-settings=preferredColorScheme=0")
    assert light == {"rgb(221, 226, 233)"}
    assert dark == {"rgb(48, 57, 70)"}


@pytest.fixture(scope="module")
def climbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = climb(tmp_path_factory.mktemp("climb"))
    for number in range(6):
        observe(folder, number, busy=1.9)
    return conclude_in(folder)


def test_a_climb_has_its_curve_and_components(chromium: str, climbed: Path, tmp_path: Path) -> None:
    source, log = dump(chromium, tmp_path, climbed.as_uri())
    assert "CONSOLE" not in log
    page = Page(source)
    drawn = [p["id"] for p in page.all("div", role="img")]
    assert [drawn[0], *drawn[-2:]] == ["plot-capacity", "plot-cpu", "plot-memory"]
    text = re.sub(r"\s+", " ", page.text)
    for part in (
        "The dotted line is the knee: 8 users have 95 % of the best rate.",
        "Fitted law: ",
        "Bottleneck: the machine's CPU (1.90 of 2 cores busy",
        "2000 calls/s against a server that does nothing",
        "20 of 220 connections open at most",
        "8 users *",
    ):
        assert part in text, part


@pytest.mark.parametrize("name", ["report", "climbed"])
def test_a_narrow_screen_does_not_scroll_sideways(
    chromium: str, name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    report: Path = request.getfixturevalue(name)
    assert width(chromium, report, tmp_path) <= 500


@pytest.fixture
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that notes every path it is asked for."""
    asked: list[str] = []

    class Listener(Handler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.answer(404)

    with serving(Listener) as address:
        yield address, asked


def test_no_request_leaves_the_page(
    chromium: str, report: Path, tmp_path: Path, listener: tuple[str, list[str]]
) -> None:
    """Every host name and proxy leads to a listener; the page's policy forbids what is left."""
    address, asked = listener
    proxy = f"--proxy-server={address}"
    _, log = dump(chromium, tmp_path / "a", report.as_uri(), proxy)
    assert asked == []
    assert "Refused" not in log

    # The control: with a picture from elsewhere and no policy, the listener is asked.
    leaking = report.read_text().replace("Content-Security-Policy", "x")
    page = tmp_path / "leaking.html"
    page.write_text(leaking.replace("</body>", '<img src="http://leak.test/x.png"></body>'))
    dump(chromium, tmp_path / "b", page.as_uri(), proxy)
    assert "http://leak.test/x.png" in asked
    # And with the policy it is not.
    asked.clear()
    page.write_text(
        report.read_text().replace("</body>", '<img src="http://leak.test/x.png"></body>')
    )
    _, log = dump(chromium, tmp_path / "c", page.as_uri(), proxy)
    assert asked == []


def test_a_run_without_figures_has_a_report(chromium: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run").good_run()
    folder.lines = folder.lines[:3]
    folder.read = []
    source, log = dump(chromium, tmp_path / "profile", conclude_in(folder).as_uri())
    assert "Nothing was measured" in Page(source).text
    assert "CONSOLE" not in log
