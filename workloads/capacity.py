"""The knee of a climb and the law that its rates follow.

The Universal Scalability Law (N. J. Gunther, "Guerrilla Capacity Planning", 2007, chapter 4):
X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1)), with lambda the rate of one user alone,
sigma the share of work that waits for its turn and kappa the cost of users that disturb each other.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls  # type: ignore[import-untyped]

from workloads.result import Fit, Knee

NEAR_BEST = 0.95
FEWEST_POINTS = 6


def knee(rates: Mapping[int, float]) -> Knee:
    """Find the fewest users that bring 95 % of the best rate measured.

    `rates` has calls/s by number of users. `reached` is false when those are the most users that
    were tried: more might bring more.
    """
    if not rates:
        return Knee(users=None, rate=0.0, reached=False)
    best = max(rates.values())
    users = min(n for n, rate in rates.items() if rate >= NEAR_BEST * best)
    return Knee(users=users, rate=rates[users], reached=users < max(rates))


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
    found = Fit(
        rate_of_one=1 / solution[0],
        contention=solution[1] / solution[0],
        coherency=solution[2] / solution[0],
        worst_error=0.0,
        fewest_users=min(points),
        most_users=max(points),
    )
    error = np.abs(curve(found, n) / x - 1)
    return found.model_copy(update={"worst_error": float(error.max())})


def curve(law: Fit, users: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rates in calls/s that the law gives for these numbers of users."""
    waits = 1 + law.contention * (users - 1) + law.coherency * users * (users - 1)
    return law.rate_of_one * users / waits
