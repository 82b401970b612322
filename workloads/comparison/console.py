"""The comparison on the terminal: the table, what it bears, the recommendation."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workloads.comparison.paired import Scale
from workloads.comparison.quantities import verdict
from workloads.comparison.recommend import Recommendation, operated
from workloads.comparison.recommend import table as answers
from workloads.comparison.table import Cell, Comparison, caution
from workloads.report.terminal import PLAIN, UNKNOWN


def show(comparison: Comparison, advice: Recommendation | None, console: Console) -> None:
    """Print it; what to take comes last, where the eye is."""
    saved = comparison.saved
    table = Table(title=f"{len(saved.stacks)} stacks side by side", title_justify="left")
    table.add_column("figure")
    for stack in saved.stacks:
        table.add_column(stack, justify="right")
    table.add_row("verdict, the worst", *(worst_verdict(comparison, s) for s in saved.stacks))
    table.add_row("blocks", *(f"n={saved.blocks(stack)}" for stack in saved.stacks))
    part = ""
    for row in comparison.rows:
        if row.quantity.part != part:
            table.add_section()
            table.add_row(f"[bold]{escape(row.quantity.part)}[/]")
            part = row.quantity.part
        unit = f" [dim]{row.quantity.unit}[/]" if row.quantity.unit else ""
        cells = [shown(row.cells.get(stack), saved.blocks(stack)) for stack in saved.stacks]
        table.add_row(f"  {escape(row.quantity.name)}{unit}", *cells)
    console.print(table)
    for remark in remarks(comparison):
        console.print(remark, markup=False, **PLAIN)
    if advice:
        _advise(advice, console)


def shown(cell: Cell | None, blocks: int) -> str:
    """A cell's figure, with how far it is from the baseline where that can be told.

    With its own n where it has fewer `blocks` than its stack, and the marks of `remarks`.
    """
    if cell is None:
        return UNKNOWN
    text = f"{cell.bound}{amount(cell.value)}"
    if cell.contrast:
        text += f" ({_against(cell)})"
    if cell.valid and len(cell.by_block) < blocks:
        text += f" n={len(cell.by_block)}"
    return text + " †" * cell.elsewhere + " *" * (not cell.valid)


def _against(cell: Cell) -> str:
    contrast = cell.contrast
    if not contrast or not cell.distinct:
        return "=" if contrast and contrast.same else "n.d."
    if contrast.scale is Scale.RATIO:
        return f"{contrast.bound}{contrast.value:.2f}x"
    return f"{contrast.bound}{'+' if contrast.value > 0 else ''}{amount(contrast.value)}"


def amount(value: float) -> str:
    """A figure with three digits, whole from 100 on."""
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def worst_verdict(comparison: Comparison, stack: str) -> str:
    """The worst verdict of a stack's deployments, or that there is none."""
    verdicts = [verdict(deployment) for deployment in comparison.saved.of(stack)]
    order = (None, "good", "invalid", "bad")
    worst = max(verdicts, key=order.index)
    return worst.value if worst else UNKNOWN


def remarks(comparison: Comparison) -> list[str]:
    """Everything that has to be said beside the table."""
    saved = comparison.saved
    lines = [*_elsewhere(comparison), _legend(comparison)]
    for stack in saved.stacks:
        target = next(
            (deployment.target for deployment in saved.of(stack) if deployment.target), None
        )
        if target:
            lines.append(f"{stack} runs {operated(target)}.")
    for deployment in saved.deployments:
        where = f"{deployment.stack}, block {deployment.block + 1}"
        lines += [f"{where}: {step}: {why}" for step, why in deployment.failed.items()]
        if deployment.error:
            lines.append(f"{where}: {deployment.error}")
    lines += [f"{stack} was left out: {why}" for stack, why in saved.left_out.items()]
    if saved.missing:
        lines.append(f"{saved.missing} planned deployments have not been done.")
    return [*lines, caution(comparison), *comparison.claims]


def _legend(comparison: Comparison) -> str:
    """Explain the marks that are there."""
    cells = [cell for row in comparison.rows for cell in row.cells.values()]
    baseline = comparison.saved.baseline
    signs = [
        (any(cell.distinct for cell in cells), f"(x), (+): times, or more than, {baseline} has."),
        (
            any(cell.contrast and cell.contrast.same for cell in cells),
            "(=): the same in every block.",
        ),
        (
            any(cell.contrast and not cell.distinct and not cell.contrast.same for cell in cells),
            f"(n.d.): not distinguishable from {baseline} by these blocks.",
        ),
        (any(cell.bound for cell in cells), "≥, ≤: at least, at most."),
        (not all(cell.valid for cell in cells), "*: invalid, see the run's own report."),
        (True, f"{UNKNOWN}: not measured."),
    ]
    return " ".join(words for used, words in signs if used)


def _elsewhere(comparison: Comparison) -> list[str]:
    """Say that results are from different machines, where they are."""
    machines = comparison.saved.machines
    if len(machines) < 2:
        return []
    named = "; ".join(f"{', '.join(of)}: {name or 'unknown'}" for name, of in machines.items())
    return [
        f"These results are from different machines ({named}). What is marked † is not from the "
        f"machine of {comparison.saved.baseline}, and in no comparison with it: the machines alone "
        "may make the difference."
    ]


def _advise(advice: Recommendation, console: Console) -> None:
    table = Table(title="what you need", title_justify="left")
    for name in ("stack", "need", "met"):
        table.add_column(name, no_wrap=True)
    table.add_column("because")
    for line in answers(advice):
        table.add_row(*map(escape, line))
    console.print(table)
    for sentence in (*advice.sentences, *advice.limits):
        console.print(sentence, markup=False, **PLAIN)
