"""The result on the terminal: a table of operations, the durability table, the verdict."""

import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workloads.result import Judgement, OperationFigures, Result

STYLES = {Judgement.GOOD: "green", Judgement.BAD: "red", Judgement.INVALID: "yellow"}
SHOWN = 10
PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True}
UNKNOWN = "\N{EN DASH}"
FILE_WIDTH = 112
"""Columns of what is not printed on a terminal: every table fits."""


def console() -> Console:
    """Return a console as wide as the terminal, or wide enough for every table elsewhere."""
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH)


def show(result: Result, console: Console) -> None:
    """Print the result; the verdict comes last, where the eye is."""
    console.print(_operations(result))
    console.print(_durability(result))
    for finding in result.durability.findings[:SHOWN]:
        console.print(f"  {escape(finding)}", **PLAIN)
    if (more := len(result.durability.findings) - SHOWN) > 0:
        console.print(f"  … and {more} more in result.json", **PLAIN)
    for gate in result.gates:
        if gate.passed is not True:
            mark = "not checked" if gate.passed is None else "failed"
            console.print(f"gate {mark}: {gate.name}: {gate.measured}", **PLAIN)
    verdict = result.verdict
    style = STYLES[verdict.judgement]
    console.print(f"\n[bold {style}]verdict: {verdict.judgement}[/]", **PLAIN)
    for reason in verdict.reasons:
        console.print(f"  {escape(reason)}", **PLAIN)


def number(value: float | None) -> str:
    """Milliseconds to three figures; a dash where there are too few samples."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _operations(result: Result) -> Table:
    table = Table(title=f"load phase, {result.load_s:.1f} s", title_justify="left")
    table.add_column("operation")
    for name in ("count", "errors", "p50 ms", "p95 ms", "p99 ms", "per s"):
        table.add_column(name, justify="right")
    previous: OperationFigures | None = None
    for row in result.operations:
        if previous and previous.type != row.type:
            table.add_section()
        table.add_row(
            f"{'step ' if row.type == 'step' else ''}{escape(row.name)}",
            str(row.count),
            f"[red]{row.errors}[/]" if row.errors else "0",
            number(row.p50_ms),
            number(row.p95_ms),
            number(row.p99_ms),
            f"{row.rate:.1f}",
        )
        previous = row
    return table


def _durability(result: Result) -> Table:
    table = Table(title=f"read back: {result.durability.verdict}", title_justify="left")
    table.add_column("kind", no_wrap=True)
    columns = ("attempted", "acknowledged", "present", "lost", "recovered", "unexpected")
    for name in (*columns, "duplicates", "unread"):
        table.add_column(name, justify="right", overflow="fold")
    for kind, sets in result.durability.kinds.items():
        figures = sets.model_dump()
        table.add_row(kind, *(str(figures[name]) for name in (*columns, "duplicates", "unread")))
    return table
