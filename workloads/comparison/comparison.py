"""The table of a comparison: a row for each figure, a column for each stack."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

from workloads.comparison.load import Deployment, Saved
from workloads.comparison.quantities import Figure, Quantity, figures
from workloads.comparison.ratios import Ratio, ratio, spread

ORDER = ("deployment", "training", "metrics", "capacity", "burst", "artifacts", "fault")
LAST = "durability, all runs"


@dataclass(frozen=True)
class Cell:
    """What a stack has of a quantity.

    Attributes:
        value: mean over its deployments of those figures that count; of all, if none does.
        counts: whether any figure counts.
        by_block: the figures that count, by block, without duplicates.
        ratio: against the baseline; None for the baseline itself, or without a pair.
    """

    value: float
    counts: bool
    by_block: Mapping[int, float]
    ratio: Ratio | None


@dataclass(frozen=True)
class Row:
    """A quantity with the cell of each stack that has it."""

    quantity: Quantity
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Comparison:
    """Everything that a comparison found."""

    saved: Saved
    rows: list[Row]
    claims: list[str]


def compare(saved: Saved) -> Comparison:
    """Set the deployments side by side."""
    measured = [(one, figures(one)) for one in saved.deployments]
    known = dict.fromkeys(quantity for _, found in measured for quantity in found)
    rows = [_row(quantity, saved, measured) for quantity in sorted(known, key=_place)]
    return Comparison(saved, rows, _claims(saved, rows))


Measured = list[tuple[Deployment, dict[Quantity, Figure]]]


def _row(quantity: Quantity, saved: Saved, measured: Measured) -> Row:
    first: dict[str, dict[int, float]] = defaultdict(dict)
    again: dict[str, dict[int, float]] = defaultdict(dict)
    every: dict[str, list[Figure]] = defaultdict(list)
    for deployment, found in measured:
        if quantity in found:
            figure = found[quantity]
            every[deployment.stack].append(figure)
            if figure.counts:
                kept = again if deployment.duplicate else first
                kept[deployment.stack][deployment.block] = figure.value
    twice = [
        (first[stack][block], value)
        for stack, blocks in again.items()
        for block, value in blocks.items()
        if block in first[stack]
    ]
    noise = spread(twice)
    cells = {}
    for stack in saved.stacks:
        if stack in every:
            good = [figure.value for figure in every[stack] if figure.counts]
            shown = good or [figure.value for figure in every[stack]]
            against = None
            if stack != saved.baseline and quantity.more_is_better is not None:
                against = ratio(first[saved.baseline], first[stack], noise)
            mean = sum(shown) / len(shown)
            cells[stack] = Cell(mean, bool(good), dict(first[stack]), against)
    return Row(quantity, cells)


def _claims(saved: Saved, rows: list[Row]) -> list[str]:
    """Say what the figures bear, a sentence each."""
    said = []
    for row in rows:
        for stack, cell in row.cells.items():
            found = cell.ratio
            if found and found.claimed and row.quantity.more_is_better is not None:
                better = (found.value > 1) == row.quantity.more_is_better
                said.append(
                    f"{stack} is {'better' if better else 'worse'} than {saved.baseline} in "
                    f"{row.quantity.part}, {row.quantity.name}: {found.value:.2f} times "
                    f"({found.low:.2f} to {found.high:.2f}); two deployments of one stack differed "
                    f"by up to {found.spread:.2f} times."
                )
    return said


def caution(saved: Saved) -> str:
    """Say what the figures do not bear."""
    blocks = len({one.block for one in saved.deployments})
    again = sum(one.duplicate for one in saved.deployments)
    if not again:
        times = "once" if blocks == 1 else f"{blocks} times"
        return (
            f"Each stack was deployed {times} and none twice in a block, so it is not known how "
            "far two deployments of the same differ here: no difference is claimed beyond what "
            "was seen."
        )
    return (
        f"{blocks} blocks, {again} of them with one stack deployed twice (A/A): a difference is "
        "claimed where its 95 % interval lies beyond what those differed by."
    )


def _place(quantity: Quantity) -> tuple[int, str]:
    if quantity.part == LAST:
        return len(ORDER) + 1, ""
    for number, part in enumerate(ORDER):
        if quantity.part.startswith(part):
            return number, ""
    return len(ORDER), quantity.part
