"""The comparison on the terminal: the table, what it bears, the recommendation."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workloads.comparison.comparison import Cell, Comparison, caution
from workloads.comparison.quantities import verdict
from workloads.comparison.recommend import Recommendation, operated
from workloads.comparison.recommend import table as answers
from workloads.report.terminal import PLAIN, UNKNOWN


def show(comparison: Comparison, advice: Recommendation | None, console: Console) -> None:
    """Print it; what to take comes last, where the eye is."""
    saved = comparison.saved
    table = Table(title=f"{len(saved.stacks)} stacks side by side", title_justify="left")
    table.add_column("figure")
    for stack in saved.stacks:
        table.add_column(stack, justify="right")
    table.add_row("verdict, the worst", *(worst_verdict(comparison, s) for s in saved.stacks))
    part = ""
    for row in comparison.rows:
        if row.quantity.part != part:
            table.add_section()
            table.add_row(f"[bold]{escape(row.quantity.part)}[/]")
            part = row.quantity.part
        unit = f" [dim]{row.quantity.unit}[/]" if row.quantity.unit else ""
        cells = [shown(row.cells.get(stack)) for stack in saved.stacks]
        table.add_row(f"  {escape(row.quantity.name)}{unit}", *cells)
    console.print(table)
    for said in remarks(comparison):
        console.print(said, markup=False, **PLAIN)
    if advice:
        _advise(advice, console)


def shown(cell: Cell | None) -> str:
    """A cell's figure with its ratio; `*` where its run does not count."""
    if cell is None:
        return UNKNOWN
    mark = "" if cell.counts else " *"
    times = f" ({cell.ratio.value:.2f}x)" if cell.ratio else ""
    return f"{amount(cell.value)}{times}{mark}"


def amount(value: float) -> str:
    """A figure with three digits, whole from 100 on."""
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def worst_verdict(comparison: Comparison, stack: str) -> str:
    """The worst verdict of a stack's deployments, or that there is none."""
    found = [verdict(one) for one in comparison.saved.of(stack)]
    order = (None, "good", "invalid", "bad")
    worst = max(found, key=order.index)
    return worst.value if worst else UNKNOWN


def remarks(comparison: Comparison) -> list[str]:
    """Everything that has to be said beside the table."""
    saved = comparison.saved
    said = [
        f"(x): times what {saved.baseline} has. *: does not count, see the run's own report. "
        f"{UNKNOWN}: not measured."
    ]
    for stack in saved.stacks:
        target = next((one.target for one in saved.of(stack) if one.target), None)
        if target:
            said.append(f"{stack} runs {operated(target)}.")
    for deployment in saved.deployments:
        where = f"{deployment.stack}, block {deployment.block + 1}"
        said += [f"{where}: {step}: {why}" for step, why in deployment.failed.items()]
        if deployment.error:
            said.append(f"{where}: {deployment.error}")
    said += [f"{stack} was left out: {why}" for stack, why in saved.left_out.items()]
    if saved.missing:
        said.append(f"{saved.missing} planned deployments have not been done.")
    return [*said, caution(saved), *comparison.claims]


def _advise(advice: Recommendation, console: Console) -> None:
    table = Table(title="what you need", title_justify="left")
    for name in ("stack", "need", "met"):
        table.add_column(name, no_wrap=True)
    table.add_column("because")
    for line in answers(advice):
        table.add_row(*map(escape, line))
    console.print(table)
    for said in (*advice.said, *advice.limits):
        console.print(said, markup=False, **PLAIN)
