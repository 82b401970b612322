"""The plotting script is within a report, and once for all reports of a comparison."""

import shutil
from pathlib import Path

import pytest

from tests.integration.workloads.browser import Page, dump
from tests.unit.workloads.builders import Folder
from workloads.comparison.layout import PLAN
from workloads.verdict.judge import REPORT, conclude

SCRIPT_BYTES = 3_000_000


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison's folder with two runs."""
    folder = tmp_path_factory.mktemp("compared")
    (folder / PLAN).write_text("{}")
    for step in ("training", "metrics & more"):
        conclude(Folder(folder / "1-1-local" / step).good_run().save())
    return folder


def test_reports_of_a_comparison_share_one_script(comparison: Path) -> None:
    (script,) = comparison.rglob("*.js")
    assert script.parent == comparison
    assert script.stat().st_size > SCRIPT_BYTES
    reports = list(comparison.rglob(REPORT))
    assert len(reports) == 2
    assert sum(one.stat().st_size for one in reports) < SCRIPT_BYTES / 5
    assert list(comparison.rglob("*.tmp")) == []


def test_a_report_of_its_own_needs_no_other_file(tmp_path: Path) -> None:
    run = Folder(tmp_path / "results" / "run").good_run().save()
    conclude(run)
    assert list(tmp_path.rglob("*.js")) == []
    assert (run / REPORT).stat().st_size > SCRIPT_BYTES


@pytest.mark.parametrize("step", ["training", "metrics & more"])
def test_a_report_of_a_comparison_is_drawn(
    chromium: str, comparison: Path, tmp_path: Path, step: str
) -> None:
    report = comparison / "1-1-local" / step / REPORT
    source, log = dump(chromium, tmp_path, report.as_uri())
    assert "CONSOLE" not in log
    plots = Page(source).all("div", role="img")
    assert plots
    assert all("js-plotly-plot" in (plot["class"] or "") for plot in plots)


def test_a_report_that_was_taken_out_of_it_says_what_is_missing(
    chromium: str, comparison: Path, tmp_path: Path
) -> None:
    alone = tmp_path / "alone" / "1" / "2" / "report.html"
    alone.parent.mkdir(parents=True)
    shutil.copyfile(comparison / "1-1-local" / "training" / REPORT, alone)
    source, _ = dump(chromium, tmp_path / "profile", alone.as_uri())
    page = Page(source)
    assert "Not drawn: plotly-….min.js of the comparison's folder is not there." in page.text
    assert "Verdict: good" in " ".join(page.text.split())
