"""How two stacks differ, and whether that can be told from the noise.

- Figures of one block are *paired*, as they were taken near each other in time: by the logarithm of
  their ratio or, where a figure is 0 and has no ratio, by their difference.
- Their mean over the blocks has *Student's t interval* ("Student", "The Probable Error of a Mean",
  Biometrika 6, 1908; for few runs: Georges, Buytaert and Eeckhout, "Statistically Rigorous Java
  Performance Evaluation", OOPSLA 2007). A percentile bootstrap of five values is too narrow.
- All comparisons of a table are tested together by *Holm's procedure*, whatever their dependence
  (S. Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian Journal of
  Statistics 6, 1979): the chance of a single wrong claim among all is at most 5 %.
- What two deployments of the *same* stack differ by (A/A) is noise, too.
- A time that was watched only so long enters with that length, which bounds the mean (a *restricted
  mean*: Royston and Parmar, BMC Medical Research Methodology 13:152, 2013): one end of the interval
  is then open.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TypeVar

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

from workloads.comparison.bounded import Bound, Figure

LEVEL = 0.05
FEWEST_BLOCKS = 2
"""One pair says nothing of how far the next would be from it."""

K = TypeVar("K")
Pair = tuple[Figure, Figure]


class Scale(Enum):
    """How two figures are set against each other."""

    RATIO = "times"
    DIFFERENCE = "more"

    def step(self, a: float, b: float) -> float:
        """How far it is from `a` to `b`, on a scale on which steps can be averaged."""
        return math.log(b / a) if self is Scale.RATIO else b - a

    def shown(self, step: float) -> float:
        """A step as people say it: a ratio, or a difference in the figures' unit."""
        return math.exp(step) if self is Scale.RATIO else step


@dataclass(frozen=True)
class Contrast:
    """How a stack differs from the baseline in one quantity.

    Attributes:
        value: geometric mean of the ratios, or mean of the differences.
        bound: whether the true one is at least, or at most, this.
        low: lower end of the 95 % interval; 0 or -inf where it is open.
        high: upper end of it; inf where it is open.
        p: of the hypothesis that there is no difference, two-sided.
        blocks: number of pairs, two at least.
        spread: largest ratio (≥ 1) or difference (≥ 0) of two deployments of one stack in one
            block; None if none was deployed twice.
    """

    scale: Scale
    value: float
    bound: Bound
    low: float
    high: float
    p: float
    blocks: int
    spread: float | None

    @property
    def same(self) -> bool:
        """Whether the figures were the same in every block, as 0 and 0."""
        none = 1.0 if self.scale is Scale.RATIO else 0.0
        return self.low == self.high == none

    @property
    def beyond_noise(self) -> bool:
        """Whether the whole interval lies beyond what two deployments of the same differ by."""
        if self.spread is None:
            return False
        below = 1 / self.spread if self.scale is Scale.RATIO else -self.spread
        return self.low > self.spread or self.high < below


def scale_of(figures: Sequence[Figure]) -> Scale:
    """Return the scale for all figures of a quantity: a 0 among them has no ratio to anything."""
    return Scale.RATIO if all(figure.value > 0 for figure in figures) else Scale.DIFFERENCE


def contrast(
    baseline: Mapping[int, Figure],
    other: Mapping[int, Figure],
    twice: Sequence[Pair],
    scale: Scale,
    resolution: float = 0.0,
) -> Contrast | None:
    """Set a stack's figures against the baseline's, both by block.

    Args:
        twice: figures of two deployments of one stack in one block (A/A).
        resolution: smallest difference that the figures can show, in their unit.

    Returns:
        None with under two blocks that have both, taken on one machine, or where one figure is
        known from below only and the other from above only.
    """
    pairs = [
        (baseline[block], other[block])
        for block in sorted(baseline.keys() & other.keys())
        if baseline[block].machine == other[block].machine
    ]
    bounds = {_bound(a, b) for a, b in pairs} - {Bound.EXACT}
    if len(pairs) < FEWEST_BLOCKS or None in bounds or len(bounds) > 1:
        return None
    bound = next(iter(bounds), None) or Bound.EXACT
    steps = np.array([scale.step(a.value, b.value) for a, b in pairs])
    middle, error = float(steps.mean()), float(stats.sem(steps))
    margin = error * float(stats.t.ppf(1 - LEVEL / 2, len(steps) - 1))
    return Contrast(
        scale=scale,
        value=scale.shown(middle),
        bound=bound,
        low=scale.shown(-math.inf if bound is Bound.AT_MOST else middle - margin),
        high=math.inf if bound is Bound.AT_LEAST else scale.shown(middle + margin),
        p=_p(middle, error, len(steps), bound),
        blocks=len(steps),
        spread=_spread(twice, scale, resolution, float(np.mean([a.value for a, _ in pairs]))),
    )


def holm(p_values: Mapping[K, float]) -> set[K]:
    """Return the keys of the hypotheses that Holm's procedure rejects, all together at 5 %."""
    rejected: set[K] = set()
    for key in sorted(p_values, key=lambda key: p_values[key]):
        if p_values[key] > LEVEL / (len(p_values) - len(rejected)):
            break
        rejected.add(key)
    return rejected


def _bound(a: Figure, b: Figure) -> Bound | None:
    """What is known of b against a; None: nothing."""
    turned = {Bound.AT_LEAST: Bound.AT_MOST, Bound.AT_MOST: Bound.AT_LEAST}
    both = {b.bound, turned.get(a.bound, Bound.EXACT)} - {Bound.EXACT}
    return None if len(both) > 1 else next(iter(both), Bound.EXACT)


def _p(middle: float, error: float, blocks: int, bound: Bound) -> float:
    wrong_side = {Bound.AT_LEAST: middle < 0, Bound.AT_MOST: middle > 0}
    if wrong_side.get(bound, False) or math.isclose(middle, 0, abs_tol=1e-12):
        return 1.0
    if math.isclose(error, 0, abs_tol=1e-12):
        return 0.0
    return float(2 * stats.t.sf(abs(middle) / error, blocks - 1))


def _spread(
    twice: Sequence[Pair], scale: Scale, resolution: float, baseline: float
) -> float | None:
    """Return the most that the same differed by; not under the resolution of the figures."""
    known = [
        abs(scale.step(a.value, b.value))
        for a, b in twice
        if a.machine == b.machine and Bound.EXACT in (a.bound, b.bound)
    ]
    if not known:
        return None
    least = scale.step(baseline, baseline + resolution)
    return scale.shown(max(*known, least))
