"""The comparison as one HTML file that needs nothing else."""

import os
from pathlib import Path

from workloads.comparison import terminal
from workloads.comparison.comparison import Comparison
from workloads.comparison.plots import plots
from workloads.comparison.recommend import Recommendation, table
from workloads.judge import REPORT
from workloads.report import html

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
        saved=saved,
        rows=comparison.rows,
        shown=terminal.shown,
        remarks=terminal.remarks(comparison),
        verdicts={stack: terminal.worst_verdict(comparison, stack) for stack in saved.stacks},
        advice=advice,
        answers=list(table(advice)) if advice else [],
        reports=_reports(comparison, folder),
    )


def _reports(comparison: Comparison, folder: Path) -> list[tuple[str, str, str]]:
    """Return stack and block, step and address of each run's report."""
    found = []
    for one in comparison.saved.deployments:
        again = ", A/A" if one.duplicate else ""
        where = f"{one.stack}, block {one.block + 1}{again}"
        for step, path in one.folders.items():
            address = os.path.relpath(path.resolve(), folder.resolve())
            found.append((where, step, f"{address}/{REPORT}"))
    return found
