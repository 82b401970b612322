"""`audit`: what a saved run wrote, looked for in another stack."""

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from typer import Argument, Option


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min
    if moment.tzinfo is None:
        raise typer.BadParameter(f"{text}: give a time as 2026-01-02T03:04:05+00:00")
    return moment


def audit(
    folder: Annotated[Path, Argument(metavar="DIR", help="A folder below results.")],
    stack: Annotated[str, Option(help="Name of a deployed stack, as local.")],
    until: Annotated[
        datetime | None,
        Option(
            parser=_moment,
            metavar="TIME",
            help="Leave out what was acknowledged later, as after a backup (ISO 8601, with the "
            "zone).",
        ),
    ] = None,
) -> int:
    """Look for what a saved run wrote in another stack."""
    from workloads.load import client_settings
    from workloads.target import target

    subject = target.load(stack)
    client_settings.configure(subject.tracking_uri, subject.access)

    from workloads.checkers import coverage
    from workloads.report import terminal
    from workloads.verdict import audit as audits  # imports Locust first

    durability = audits.audit(folder, subject, until)
    terminal.show_durability(durability, terminal.console())
    print(coverage.said(durability))
    print(coverage.counted(durability))
    return {"pass": 0, "fail": 1, "unknown": 3}[durability.verdict]
