"""The table of a comparison: a row for each figure, a column for each stack."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from workloads.comparison import paired
from workloads.comparison.bounded import Bound, Figure, mean
from workloads.comparison.paired import Contrast, Scale
from workloads.comparison.quantities import Quantity, figures
from workloads.comparison.saved_results import Deployment, Saved

ORDER = (
    *("deployment", "training", "metrics", "capacity", "burst", "artifacts"),
    *("traces", "otlp", "trace-search", "agents", "fault"),
)
"""How parts of the table begin."""

LAST = "durability, all runs"


@dataclass(frozen=True)
class Cell:
    """What a stack has of a quantity.

    Attributes:
        value: mean of the figures in `by_block`; of all there are, if none is valid.
        bound: whether that is at least, or at most, the true one.
        valid: whether any figure is valid, of a duplicate too.
        elsewhere: whether a figure is of another machine than the baseline's.
        by_block: the valid figures, by block, without duplicates.
        contrast: against the baseline; None for the baseline itself, or without two pairs.
        distinct: whether the two are distinguishable, beside all else that was compared.
    """

    value: float
    bound: Bound
    valid: bool
    elsewhere: bool
    by_block: Mapping[int, Figure]
    contrast: Contrast | None
    distinct: bool = False


@dataclass(frozen=True)
class Row:
    """A quantity with the cell of each stack that has it."""

    quantity: Quantity
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Comparison:
    """Everything that a comparison found; `tested` is the number of contrasts that have a p."""

    saved: Saved
    rows: list[Row]
    tested: int

    @property
    def claims(self) -> list[str]:
        """What the figures bear, a sentence each."""
        return list(_claims(self))


def compare(saved: Saved) -> Comparison:
    """Set the deployments side by side."""
    measured = [(deployment, figures(deployment)) for deployment in saved.deployments]
    known = dict.fromkeys(quantity for _, by_quantity in measured for quantity in by_quantity)
    rows = [_row(quantity, saved, measured) for quantity in sorted(known, key=_place)]
    p_values = {
        (row.quantity, stack): cell.contrast.p
        for row in rows
        for stack, cell in row.cells.items()
        if cell.contrast
    }
    rejected = paired.holm(p_values)
    return Comparison(saved, [_judged(row, rejected) for row in rows], len(p_values))


Measured = list[tuple[Deployment, dict[Quantity, Figure]]]


def _row(quantity: Quantity, saved: Saved, measured: Measured) -> Row:
    first: dict[str, dict[int, Figure]] = defaultdict(dict)
    again: dict[str, dict[int, Figure]] = defaultdict(dict)
    every: dict[str, list[Figure]] = defaultdict(list)
    for deployment, by_quantity in measured:
        if quantity in by_quantity:
            figure = by_quantity[quantity]
            every[deployment.stack].append(figure)
            if figure.valid:
                kept = again if deployment.duplicate else first
                kept[deployment.stack][deployment.block] = figure
    twice = [
        (first[stack][block], figure)
        for stack, blocks in again.items()
        for block, figure in blocks.items()
        if block in first[stack]
    ]
    scale = paired.scale_of(
        [
            figure
            for figures_of_stack in every.values()
            for figure in figures_of_stack
            if figure.valid
        ]
    )
    cells = {}
    for stack in saved.stacks:
        if stack in every:
            good = [*first[stack].values()] or [*again[stack].values()]
            value, bound = mean(good or every[stack])
            against = None
            if stack != saved.baseline and quantity.more_is_better is not None:
                against = paired.contrast(
                    first[saved.baseline], first[stack], twice, scale, quantity.resolution
                )
            elsewhere = any(figure.machine != saved.machine for figure in every[stack])
            cells[stack] = Cell(value, bound, bool(good), elsewhere, dict(first[stack]), against)
    return Row(quantity, cells)


def _judged(row: Row, rejected: set[tuple[Quantity, str]]) -> Row:
    """Mark what is distinguishable: both from chance and from what the same stack differs by."""
    cells = {
        stack: replace(
            cell,
            distinct=(row.quantity, stack) in rejected
            and cell.contrast is not None
            and cell.contrast.beyond_noise,
        )
        for stack, cell in row.cells.items()
    }
    return Row(row.quantity, cells)


def _claims(comparison: Comparison) -> Iterator[str]:
    saved = comparison.saved
    alike: Counter[str] = Counter()
    set_against: Counter[str] = Counter()
    for row in comparison.rows:
        where = f"{row.quantity.part}, {row.quantity.name}"
        for stack, cell in row.cells.items():
            contrast = cell.contrast
            if not contrast:
                continue
            set_against[stack] += 1
            alike[stack] += not cell.distinct and not contrast.same
            if cell.distinct:
                none = 1 if contrast.scale is Scale.RATIO else 0
                better = (contrast.value > none) == row.quantity.more_is_better
                yield (
                    f"{stack} is {'better' if better else 'worse'} than {saved.baseline} in "
                    f"{where}: {how_far(contrast, row.quantity.unit)}; two deployments of one "
                    f"stack differed by up to {_noise(contrast, row.quantity.unit)}."
                )
    for stack, number in alike.items():
        if number:
            yield (
                f"{stack} is not distinguishable from {saved.baseline} in {number} of "
                f"{set_against[stack]} figures (n.d.)."
            )


def how_far(contrast: Contrast, unit: str) -> str:
    """Say a contrast with its interval, as `1.21 times (1.15 to 1.28)`."""
    if contrast.scale is Scale.RATIO:
        ends = f"{contrast.low:.2f} to {contrast.high:.2f}"
        return f"{contrast.bound}{contrast.value:.2f} times ({ends})"
    after = f" {unit}" if unit else ""
    ends = f"{contrast.low:+.3g} to {contrast.high:+.3g}"
    return f"{contrast.bound}{contrast.value:+.3g}{after} ({ends})"


def _noise(contrast: Contrast, unit: str) -> str:
    spread = contrast.spread or 0.0
    if contrast.scale is Scale.RATIO:
        return f"{spread:.2f} times"
    return f"{spread:.3g} {unit}".strip()


def caution(comparison: Comparison) -> str:
    """Say what the figures do not bear."""
    saved = comparison.saved
    blocks = len({deployment.block for deployment in saved.deployments})
    again = sum(deployment.duplicate for deployment in saved.deployments)
    if blocks == 1:
        return (
            "n=1: each stack was deployed once, and it is not known how far another deployment "
            "would be from that. No difference is claimed."
        )
    if not again:
        return (
            f"Each stack was deployed {blocks} times and none twice in a block, so it is not known "
            "how far two deployments of the same differ here: no difference is claimed."
        )
    return (
        f"{blocks} blocks, {again} of them with one stack deployed twice (A/A). A difference is "
        "claimed where Student's t over the blocks tells it from none (5 % for all "
        f"{comparison.tested} comparisons together, by Holm) and its 95 % interval lies beyond "
        "what two deployments of the same differed by."
    )


def _place(quantity: Quantity) -> tuple[int, str]:
    if quantity.part == LAST:
        return len(ORDER) + 1, ""
    for number, part in enumerate(ORDER):
        if quantity.part.startswith(part):
            return number, ""
    return len(ORDER), quantity.part
