"""`fill`: many traces into a stack's database at once, for `trace-search` to search."""

import re
import sys
import time
from typing import Annotated

from typer import Option

from workloads import CannotRunError

DAYS = 30.0
TEXT = 300


def number(text: str) -> int:
    """Read a count as people write it: `250`, `100k`, `1m`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([km]?)", text.strip().lower())
    count = float(match[1]) * {"": 1, "k": 1e3, "m": 1e6}[match[2]] if match else 0.0
    if count < 1 or count != int(count):
        raise CannotRunError(f"--traces {text}: give a number as 250, 100k or 1m")
    return int(count)


def fill(
    stack: Annotated[str, Option(help="Name of a deployed stack, as local.")],
    traces: Annotated[str, Option(metavar="NUMBER", help="How many traces.")] = "100k",
    spans: Annotated[int, Option(help="Spans of each trace.")] = 10,
    text: Annotated[int, Option(help="Characters of free text in each span.")] = TEXT,
    days: Annotated[float, Option(help="Spread them over so many days before now.")] = DAYS,
    seed: Annotated[str, Option(help="Of ids and texts.")] = "1",
    rollups: Annotated[
        bool,
        Option("--rollups", help="The servers have rollups enabled: queue the days for them, too."),
    ] = False,
) -> int:
    """Copy traces into the database of a stack, as its servers would have written them.

    They are in an experiment of their own, which `run --scenario trace-search` finds by the same
    numbers of traces and spans. A fill that was interrupted goes on when it is repeated.
    """
    from workloads.filling.facts import LEAST_SPANS
    from workloads.load import client_settings
    from workloads.target import target

    for option, value, least in (
        ("--spans", spans, LEAST_SPANS),
        ("--text", text, 0),
        ("--days", days, 0),
    ):
        if value < least:
            raise CannotRunError(f"{option} {value:g}: give at least {least}")
    wanted = number(traces)
    subject = target.load(stack)
    if not subject.target or not subject.secrets:
        raise CannotRunError(f"stack {stack!r} does not say how its database is reached")
    client_settings.configure(subject.tracking_uri, subject.access)

    from workloads.filling import filling

    began = time.monotonic()
    done = filling.fill(
        subject.tracking_uri,
        subject.target.backend_store,
        subject.secrets.database_password,
        filling.Wanted(wanted, spans, text, days, seed, rollups),
        progress=_progress,
    )
    spent = time.monotonic() - began
    print(
        f"{done.copied:,} traces with {done.copied * spans:,} spans copied in {spent:.1f} s; "
        f"the database has {done.size / 2**20:,.0f} MiB"
    )
    print(
        f"search them: python -m workloads run --stack {stack} --scenario trace-search "
        f"--set traces={wanted} --set spans={spans}"
    )
    return 0


def _progress(made: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{made:,} of {total:,} traces", end="\n" if made == total else "", file=sys.stderr)
