"""The saturation point (knee) of a climb, and the scalability law that its rates follow.

The Universal Scalability Law (N. J. Gunther, "Guerrilla Capacity Planning", 2007, chapter 4):
X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)), with lambda the rate of one user alone,
sigma the share of work that waits for its turn and kappa the cost of users that disturb each other.
"""

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls  # type: ignore[import-untyped]

from workloads.verdict.result import Fit, Knee

NEAR_BEST = 0.95
FEWEST_POINTS = 6


def knee(rates: Mapping[int, float], margins: Mapping[int, float] | None = None) -> Knee:
    """Find the fewest users that bring 95 % of the best rate measured.

    `rates` has calls/s by number of users, `margins` half of their 95 % intervals. `reached` is
    false when those are the most users that were tried: more might bring more. From `fewest` to
    `most` users the knee may be as well, as far as the margins tell: fewer are certainly below
    95 % of the best, and `most` are certainly not or have the best rate themselves; None where
    those are the most that were tried.
    """
    if not rates:
        return Knee(users=None, rate=0.0, reached=False)
    best = max(rates, key=lambda n: rates[n])
    users_at_knee = min(n for n, rate in rates.items() if rate >= NEAR_BEST * rates[best])
    by = margins or {}

    def short(n: int, m: int) -> float:
        """How much `n` users bring less than 95 % of what `m` do, in margins of the difference."""
        margin = math.hypot(by.get(n, 0.0), NEAR_BEST * by.get(m, 0.0))
        gap = NEAR_BEST * rates[m] - rates[n]
        return gap / margin if margin else math.copysign(math.inf, gap) if gap else 0.0

    fewest = min(n for n in rates if short(n, best) <= 1)
    certain = [n for n in rates if all(short(n, m) <= -1 for m in rates if m != n)]
    most = min([*certain, best])
    return Knee(
        users=users_at_knee,
        rate=rates[users_at_knee],
        reached=users_at_knee < max(rates),
        min_users=fewest,
        max_users=most if most < max(rates) else None,
    )


def fit(rates: Mapping[int, float]) -> Fit | None:
    """Fit the law to rates in calls/s by number of users; None with fewer than 6 points.

    N/X is linear in 1, sigma and kappa over lambda: a least-squares fit with parameters ≥ 0 has one
    solution (`scipy.optimize.nnls`); rows are weighted so that relative errors count. None too
    where lambda comes out as nothing: then the rates do not follow the law.
    """
    points = {n: rate for n, rate in sorted(rates.items()) if rate > 0}
    if len(points) < FEWEST_POINTS:
        return None
    n = np.array(list(points), dtype=float)
    x = np.array(list(points.values()))
    columns = np.stack([np.ones_like(n), n - 1, n * (n - 1)], axis=1)
    weights = x / n
    solution, _ = nnls(columns * weights[:, None], np.ones_like(n))
    if solution[0] <= 0:
        return None
    law = Fit(
        rate_of_one=1 / solution[0],
        contention=solution[1] / solution[0],
        coherency=solution[2] / solution[0],
        worst_error=0.0,
        min_users=min(points),
        max_users=max(points),
    )
    error = np.abs(curve(law, n) / x - 1)
    return law.model_copy(update={"worst_error": float(error.max())})


def curve(law: Fit, users: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates in calls/s that the law gives for these numbers of users."""
    waits = 1 + law.contention * (users - 1) + law.coherency * users * (users - 1)
    return law.rate_of_one * users / waits
