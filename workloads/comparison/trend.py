"""Whether the last nights are slower than those before: a change, and not the machine's noise.

A figure has changed for the worse when both hold for its last three values beside up to twenty
before them: a one-sided Mann-Whitney test says that they are worse (p ≤ 0.01, exact), and their
median is worse by more than a tenth *and* by more than three times the spread of those before
(1.4826 times the median absolute deviation of the logarithms, which is the standard deviation of
a normal distribution; Rousseeuw and Croux, JASA 88, 1993). One slow night alone changes nothing.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]

from workloads.comparison.comparison import Comparison
from workloads.errors import CannotRunError

RECENT = 3
FEWEST_BEFORE = 7
MOST_BEFORE = 20
P = 0.01
LEAST_SHIFT = np.log(1.1)
SPREADS = 3.0


@dataclass(frozen=True)
class Change:
    """A figure that is worse than before, by medians of the values before and of the last ones."""

    figure: str
    before: float
    now: float
    nights: int

    def __str__(self) -> str:
        return (
            f"{self.figure}: {self.now:.3g} in the last {RECENT} comparisons, {self.before:.3g} in "
            f"the {self.nights} before"
        )


def worse(values: Sequence[float], *, more_is_better: bool) -> bool:
    """Whether the last values of a series, oldest first, are worse than those before.

    With under ten values, or one that is not above 0, nothing is said.
    """
    before, recent = _split(values)
    if len(before) < FEWEST_BEFORE or min(*before, *recent) <= 0:
        return False
    sign = -1.0 if more_is_better else 1.0
    old, new = sign * np.log(before), sign * np.log(recent)
    shift = float(np.median(new) - np.median(old))
    spread = 1.4826 * float(np.median(np.abs(old - np.median(old))))
    if shift <= max(LEAST_SHIFT, SPREADS * spread):
        return False
    return float(mannwhitneyu(new, old, alternative="greater").pvalue) <= P


def remember(path: Path, comparison: Comparison) -> list[dict[str, Any]]:
    """Add a comparison's figures to a history file, unless they are there; return all lines.

    Raises `CannotRunError` if the file is damaged or cannot be written.
    """
    lines = _read(path)
    if any(line["started"] == comparison.saved.started for line in lines):
        return lines
    found = {
        "started": comparison.saved.started,
        "figures": [
            {
                "name": f"{stack}, {row.quantity.part}: {row.quantity.name}",
                "unit": row.quantity.unit,
                "more_is_better": row.quantity.more_is_better,
                "value": cell.value,
            }
            for row in comparison.rows
            if row.quantity.more_is_better is not None
            for stack, cell in row.cells.items()
            if cell.counts
        ],
    }
    try:
        with path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(found) + "\n")
    except OSError as error:
        raise CannotRunError(f"--history {path}: {error.strerror}") from None
    return [*lines, found]


def changes(lines: Sequence[dict[str, Any]]) -> Iterator[Change]:
    """Yield every figure of the last comparison that is worse than it was."""
    series: dict[str, list[float]] = {}
    for line in sorted(lines, key=lambda line: str(line["started"])):
        for figure in line["figures"]:
            series.setdefault(figure["name"], []).append(figure["value"])
    for figure in lines[-1]["figures"]:
        values = series[figure["name"]]
        if worse(values, more_is_better=figure["more_is_better"]):
            before, recent = _split(values)
            yield Change(
                f"{figure['name']} ({figure['unit']})" if figure["unit"] else figure["name"],
                float(np.median(before)),
                float(np.median(recent)),
                len(before),
            )


def _split(values: Sequence[float]) -> tuple[Sequence[float], Sequence[float]]:
    return values[:-RECENT][-MOST_BEFORE:], values[-RECENT:]


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            found: dict[str, Any] = json.loads(line)
            names = {"name", "unit", "more_is_better", "value"}
            if not isinstance(found["started"], str) or any(
                figure.keys() != names for figure in found["figures"]
            ):
                raise ValueError
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CannotRunError(
                f"--history {path}: line {number} is damaged; take it out"
            ) from None
        lines.append(found)
    return lines
