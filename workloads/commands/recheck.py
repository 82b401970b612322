"""`recheck`: a saved run's verdict again, from its files."""

from pathlib import Path
from typing import Annotated

from typer import Argument, Option


def recheck(
    folder: Annotated[Path, Argument(metavar="DIR", help="A folder below results.")],
    write: Annotated[
        bool, Option("--write", help="Write result.json and report.html anew.")
    ] = False,
) -> int:
    """Judge a saved run again, from its files alone."""
    from workloads.report import terminal
    from workloads.verdict.judge import conclude, judge

    result = conclude(folder) if write else judge(folder)[0]
    terminal.show(result, terminal.console())
    return result.verdict.judgement.exit_status
