"""How two stacks differ: paired ratios, their interval, and whether the difference is claimed.

Figures of one block are paired, as they were taken near each other in time: the mean of the
logarithms of their ratios, with a percentile bootstrap interval over blocks (Efron and Tibshirani,
"An Introduction to the Bootstrap", chapter 13). What two deployments of the *same* stack differ by
(A/A) is the noise of the machine: only what lies beyond it is claimed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import bootstrap  # type: ignore[import-untyped]

FEWEST_BLOCKS = 5
"""Under five blocks a bootstrap interval is too narrow: it hardly has samples to draw from."""

RESAMPLES = 9999
SEED = 1


@dataclass(frozen=True)
class Ratio:
    """What a stack has of what the baseline has.

    Attributes:
        value: geometric mean over the blocks.
        low: lower end of the 95 % interval; None with under five blocks.
        high: its upper end.
        blocks: number of blocks that have both figures.
        spread: largest ratio, ≥ 1, of two deployments of one stack in one block; None if no stack
            was deployed twice.
    """

    value: float
    low: float | None
    high: float | None
    blocks: int
    spread: float | None

    @property
    def claimed(self) -> bool:
        """Whether the whole interval lies beyond what two deployments of the same differ by."""
        if self.low is None or self.high is None or self.spread is None:
            return False
        return self.low > self.spread or self.high < 1 / self.spread


def ratio(
    baseline: Mapping[int, float], other: Mapping[int, float], spread: float | None
) -> Ratio | None:
    """Set a figure against the baseline's, both by block; None without a block that has both.

    Figures that are not above 0 have no ratio and are left out.
    """
    pairs = [
        (baseline[block], other[block])
        for block in sorted(baseline.keys() & other.keys())
        if baseline[block] > 0 and other[block] > 0
    ]
    if not pairs:
        return None
    logs = np.array([np.log(b / a) for a, b in pairs])
    low, high = _interval(logs)
    return Ratio(float(np.exp(logs.mean())), low, high, len(logs), spread)


def spread(twice: Sequence[tuple[float, float]]) -> float | None:
    """Return the largest ratio, ≥ 1, of pairs of figures of the same stack; None without any."""
    logs = [abs(np.log(b / a)) for a, b in twice if a > 0 and b > 0]
    return float(np.exp(max(logs))) if logs else None


def _interval(logs: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> tuple[float | None, ...]:
    if len(logs) < FEWEST_BLOCKS:
        return None, None
    if np.ptp(logs) == 0:
        return float(np.exp(logs[0])), float(np.exp(logs[0]))
    found = bootstrap(
        (logs,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=0.95,
        method="percentile",
        rng=np.random.default_rng(SEED),
    ).confidence_interval
    return float(np.exp(found.low)), float(np.exp(found.high))
