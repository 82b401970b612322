"""The page of a comparison in headless Chromium."""

import re
from pathlib import Path

import pytest

from tests.integration.workloads.browser import Page, dump, width
from tests.unit.workloads.comparison.test_table import compared
from workloads.commands.application import main


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    blocks = [{"local": 20.0, "multi-az": 40.0 + n} for n in range(5)]
    folder = compared(tmp_path_factory.mktemp("compared"), *blocks, again=22.0)
    assert main(["compare", str(folder), "--users", "2", "--must-survive", "zone"]) == 0
    return folder / "comparison.html"


def test_the_page_is_drawn_whole_and_quiet(chromium: str, page: Path, tmp_path: Path) -> None:
    source, log = dump(chromium, tmp_path, page.as_uri())
    assert "CONSOLE" not in log
    drawn = Page(source)
    plots = drawn.all("div", role="img")
    assert [p["id"] for p in plots] == ["plot-deployment", "plot-load-0", "plot-ratios"]
    assert all("js-plotly-plot" in (p["class"] or "") for p in plots)
    assert all(len(p["aria-label"] or "") > 60 for p in plots)
    assert all(th.get("scope") in ("col", "row") for th in drawn.all("th"))
    assert all(e.get("tabindex") == "0" for e in drawn.all("div", class_="scroll"))
    ids = {attributes.get("id") for _, attributes in drawn.elements}
    for _, attributes in drawn.elements:
        for reference in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(reference) in {*ids, None}
    for link in drawn.all("a"):
        address = link["href"] or ""
        assert address.startswith("#") or (page.parent / address).exists()
    text = re.sub(r"\s+", " ", drawn.text)
    for part in (
        "2 stacks side by side",
        "survives the loss of a zone",
        "k8s was left out: no kubeconfig has its context",
        "capacity: it would not start",
        "no multi-AZ",
        "multi-az is worse than local in metrics, 2 users, p95",
    ):
        assert part in text, part


def test_the_page_fits_a_narrow_screen(chromium: str, page: Path, tmp_path: Path) -> None:
    assert width(chromium, page, tmp_path) <= 500
