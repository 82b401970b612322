"""Whether the last nights are slower than those before: a change, and not the machine's noise.

A figure has changed for the worse when both hold for its last three values beside up to twenty
before them: a one-sided Mann-Whitney test says that they are worse (p ≤ 0.01), and their
median is worse by more than a tenth *and* by more than three times the spread of those before
(1.4826 times the median absolute deviation of the logarithms, which is the standard deviation of
a normal distribution; Rousseeuw and Croux, JASA 88, 1993). A series with a 0 in it has no
logarithms: there the values themselves are taken. One slow night alone changes nothing.

What must never be, as an acknowledged write that is lost, is no matter of noise: one night with
more of it than the median of those before is told.

A value that only a late generator may have made worse is left out, and so are nights on other
machines.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import mannwhitneyu  # type: ignore[import-untyped]

from workloads import CannotRunError
from workloads.comparison.bounded import Bound
from workloads.comparison.table import Comparison

RENAMED = {
    "longest time without an answer": "longest outage",
    "until all was as before": "service restored after",
    "calls that failed in the end": "failed calls",
}
"""Figures of older histories and their present names."""

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
    recent: int

    def __str__(self) -> str:
        last = f"last {self.recent} comparisons" if self.recent > 1 else "last comparison"
        earlier = f"{self.nights} before" if self.nights > 1 else "one before"
        return f"{self.figure}: {self.now:.3g} in the {last}, {self.before:.3g} in the {earlier}"


def worse(values: Sequence[float], *, more_is_better: bool) -> bool:
    """Whether the last values of a series, oldest first, are worse than those before.

    With under ten values nothing is said. Values are never below 0.
    """
    before, recent = _split(values)
    if len(before) < FEWEST_BEFORE:
        return False
    sign = -1.0 if more_is_better else 1.0
    old, new = sign * np.array(before), sign * np.array(recent)
    least = 0.1 * float(np.median(before))
    if min(*before, *recent) > 0:
        old, new, least = sign * np.log(before), sign * np.log(recent), LEAST_SHIFT
    shift = float(np.median(new) - np.median(old))
    spread = 1.4826 * float(np.median(np.abs(old - np.median(old))))
    if shift <= max(least, SPREADS * spread):
        return False
    return float(mannwhitneyu(new, old, alternative="greater").pvalue) <= P


def remember(path: Path, comparison: Comparison) -> list[dict[str, Any]]:
    """Add a comparison's figures to a history file, unless they are there; return all lines.

    Raises `CannotRunError` if the file is damaged or cannot be written.
    """
    lines = _read(path)
    if any(line["started"] == comparison.saved.started for line in lines):
        return lines
    line = {
        "started": comparison.saved.started,
        "machine": comparison.saved.machine,
        "figures": [
            {
                "name": f"{stack}, {row.quantity.part}: {row.quantity.name}",
                "unit": row.quantity.unit,
                "more_is_better": row.quantity.more_is_better,
                "value": cell.value,
                "fact": row.quantity.fact,
            }
            for row in comparison.rows
            if row.quantity.more_is_better is not None
            for stack, cell in row.cells.items()
            if cell.valid
            and not cell.elsewhere
            and cell.bound is not _excuse(row.quantity.more_is_better)
        ],
    }
    try:
        with path.open("a", encoding="utf-8") as out:
            out.write(json.dumps(line) + "\n")
    except OSError as error:
        raise CannotRunError(f"--history {path}: {error.strerror}") from None
    return [*lines, line]


def changes(lines: Sequence[dict[str, Any]]) -> Iterator[Change]:
    """Yield every figure of the last comparison that is worse than it was."""
    last = lines[-1]
    alike = [
        line for line in lines if line.get("machine", last.get("machine")) == last.get("machine")
    ]
    series: dict[str, list[float]] = {}
    for line in sorted(alike, key=lambda line: str(line["started"])):
        for figure in line["figures"]:
            series.setdefault(figure["name"], []).append(figure["value"])
    for figure in last["figures"]:
        values = series[figure["name"]]
        name = f"{figure['name']} ({figure['unit']})" if figure["unit"] else figure["name"]
        before, recent = _split(values, 1 if figure.get("fact") else RECENT)
        if not before:
            continue
        change = Change(
            name, float(np.median(before)), float(np.median(recent)), len(before), len(recent)
        )
        if figure.get("fact"):
            if change.now > change.before:
                yield change
        elif worse(values, more_is_better=figure["more_is_better"]):
            yield change


def _excuse(more_is_better: bool) -> Bound:
    """The bound of a value that a late generator alone may have made worse."""
    return Bound.AT_LEAST if more_is_better else Bound.AT_MOST


def _split(
    values: Sequence[float], recent: int = RECENT
) -> tuple[Sequence[float], Sequence[float]]:
    return values[:-recent][-MOST_BEFORE:], values[-recent:]


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            known: dict[str, Any] = json.loads(line)
            names = {"name", "unit", "more_is_better", "value"}
            if not isinstance(known["started"], str) or any(
                not names <= figure.keys() for figure in known["figures"]
            ):
                raise ValueError
            for figure in known["figures"]:
                part, _, name = figure["name"].rpartition(": ")
                figure["name"] = f"{part}: {RENAMED[name]}" if name in RENAMED else figure["name"]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CannotRunError(
                f"--history {path}: line {number} is damaged; take it out"
            ) from None
        lines.append(known)
    return lines
