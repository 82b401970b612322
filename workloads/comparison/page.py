"""The comparison as one HTML file that needs nothing else."""

import os
from pathlib import Path

from workloads.comparison import console
from workloads.comparison.comparison_plots import plots
from workloads.comparison.recommend import Recommendation, table
from workloads.comparison.table import Comparison, Row, how_far
from workloads.report import html, script
from workloads.verdict.judge import REPORT

HERE = Path(__file__).parent
PAGE = "comparison.html"


def write(path: Path, comparison: Comparison, advice: Recommendation | None) -> None:
    """Write the page; reports that are below or beside it are linked."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(render(comparison, advice, path.parent), encoding="utf-8")
    draft.replace(path)


def render(comparison: Comparison, advice: Recommendation | None, folder: Path) -> str:
    """Render the page as it is to lie in `folder`."""
    saved = comparison.saved
    return html.page(
        HERE / PAGE,
        plots(comparison),
        script.inline(),
        saved=saved,
        rows=comparison.rows,
        shown=console.shown,
        interval=_interval,
        remarks=console.remarks(comparison),
        verdicts={stack: console.worst_verdict(comparison, stack) for stack in saved.stacks},
        advice=advice,
        answers=list(table(advice)) if advice else [],
        reports=_reports(comparison, folder),
    )


def _interval(row: Row, stack: str) -> str:
    """Return how far a stack is from the baseline, with the interval; empty where it is not known.

    It is said also where the two are not distinguishable: how far they could be from each other.
    """
    cell = row.cells.get(stack)
    if cell is None or cell.contrast is None or cell.contrast.same:
        return ""
    return how_far(cell.contrast, row.quantity.unit)


def _reports(comparison: Comparison, folder: Path) -> list[tuple[str, str, str]]:
    """Return stack and block, step and address of each run's report."""
    links = []
    for deployment in comparison.saved.deployments:
        again = ", A/A" if deployment.duplicate else ""
        where = f"{deployment.stack}, block {deployment.block + 1}{again}"
        for step, path in deployment.folders.items():
            address = os.path.relpath(path.resolve(), folder.resolve())
            links.append((where, step, f"{address}/{REPORT}"))
    return links
