"""`compare`: saved results side by side."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from workloads import CannotRunError
from workloads.comparison import needs

if TYPE_CHECKING:
    from workloads.comparison.table import Comparison

RECOMMENDATION = "For a recommendation"


def compare(
    folders: Annotated[
        list[Path],
        Argument(
            metavar="DIR…",
            help="The folder of a comparison (scripts/bench --compare), or those of several runs.",
        ),
    ],
    out: Annotated[Path | None, Option(metavar="FILE", help="Where the page is written.")] = None,
    history: Annotated[
        Path | None,
        Option(
            metavar="FILE",
            help="Add the figures to FILE; status 1 if the last ones are worse than those before.",
        ),
    ] = None,
    users: Annotated[
        str | None,
        Option(metavar="N", help="Users at once.", rich_help_panel=RECOMMENDATION),
    ] = None,
    artifact_size: Annotated[
        str | None,
        Option(metavar="SIZE", help="Largest file, as 200MB.", rich_help_panel=RECOMMENDATION),
    ] = None,
    must_survive: Annotated[
        str | None,
        Option(
            metavar="LOSS,…",
            help=f"What may fail, of {', '.join(needs.Loss)}.",
            rich_help_panel=RECOMMENDATION,
        ),
    ] = None,
    outage_limit: Annotated[
        str | None,
        Option(
            metavar="S",
            help="Longest outage in seconds that is still survived "
            f"(default: {needs.OUTAGE_LIMIT_S:g}).",
            rich_help_panel=RECOMMENDATION,
        ),
    ] = None,
) -> int:
    """Set saved results side by side, from files."""
    try:
        wishes = needs.read(
            argparse.Namespace(
                users=users,
                artifact_size=artifact_size,
                must_survive=must_survive,
                outage_limit=outage_limit,
            )
        )
    except ValueError as error:
        raise CannotRunError(str(error)) from None
    from workloads.comparison import console, page, recommend, saved_results, table
    from workloads.report import terminal

    comparison = table.compare(saved_results.load(folders))
    advice = recommend.recommend(comparison.saved, wishes) if wishes.any else None
    console.show(comparison, advice, terminal.console())
    if out is None:
        alone = len(folders) == 1 and folders[0].is_dir()
        out = folders[0] / page.PAGE if alone else Path(page.PAGE)
    page.write(out, comparison, advice)
    print(f"\npage: {out}")
    return _regressions(comparison, history) if history else 0


def _regressions(comparison: "Comparison", path: Path) -> int:
    """Add a comparison to a history and print what got worse; returns 1 if anything did."""
    from workloads.comparison import trend

    lines = trend.remember(path, comparison)
    changes = list(trend.changes(lines))
    for change in changes:
        print(f"worse: {change}")
    if not changes:
        enough = trend.RECENT + trend.FEWEST_BEFORE
        few = f"; it says something from {enough} on" if len(lines) < enough else ""
        print(f"history: {len(lines)} comparisons, nothing got worse{few}")
    return 1 if changes else 0
