"""The knee and the law, on rates whose answer is known."""

import numpy as np
import pytest

from workloads.verdict.result import Fit, Knee
from workloads.verdict.saturation import curve, fit, knee

LEVELS = (1, 2, 4, 8, 16, 32, 64)


def law(rate: float, contention: float, coherency: float) -> dict[int, float]:
    made = Fit(
        rate_of_one=rate,
        contention=contention,
        coherency=coherency,
        worst_error=0,
        min_users=1,
        max_users=64,
    )
    users = np.array(LEVELS, dtype=float)
    return dict(zip(LEVELS, curve(made, users).tolist(), strict=True))


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        ({}, Knee(users=None, rate=0, reached=False)),
        ({1: 10.0}, Knee(users=1, rate=10, reached=False, min_users=1)),
        ({1: 10.0, 2: 20.0, 4: 40.0}, Knee(users=4, rate=40, reached=False, min_users=4)),
        (
            {1: 10.0, 2: 20.0, 4: 30.0, 8: 31.0},
            Knee(users=4, rate=30, reached=True, min_users=4, max_users=4),
        ),
        (
            {1: 10.0, 2: 20.0, 4: 30.0, 8: 12.0},
            Knee(users=4, rate=30, reached=True, min_users=4, max_users=4),
        ),
        (
            {1: 50.0, 2: 50.0, 4: 50.0},
            Knee(users=1, rate=50, reached=True, min_users=1, max_users=1),
        ),
    ],
)
def test_the_knee(rates: dict[int, float], found: Knee) -> None:
    assert knee(rates) == found


@pytest.mark.parametrize(
    ("rates", "fewest", "users", "most"),
    [
        ({2: 60.0, 4: 98, 8: 101, 16: 103, 32: 102}, 4, 4, 16),
        ({2: 60.0, 4: 92, 8: 101, 16: 103, 32: 102}, 4, 8, 16),
        ({2: 60.0, 4: 70, 8: 101, 16: 103, 32: 104}, 8, 8, None),
    ],
)
def test_what_the_margins_leave_open(
    rates: dict[int, float], fewest: int, users: int, most: int | None
) -> None:
    """Two runs of one stack gave 4 and 8: both say that it may be either."""
    found = knee(rates, dict.fromkeys(rates, 6.0))
    assert (found.min_users, found.users, found.max_users) == (fewest, users, most)


@pytest.mark.parametrize(
    ("rate", "contention", "coherency"),
    [(20, 0.1, 0.001), (35, 0.3, 0), (5, 0, 0.002), (12, 0, 0)],
)
def test_a_law_is_found_again(rate: float, contention: float, coherency: float) -> None:
    found = fit(law(rate, contention, coherency))
    assert found
    assert found.rate_of_one == pytest.approx(rate)
    assert found.contention == pytest.approx(contention, abs=1e-9)
    assert found.coherency == pytest.approx(coherency, abs=1e-9)
    assert found.worst_error < 1e-6
    assert (found.min_users, found.max_users) == (1, 64)


def test_parameters_are_never_negative_and_the_error_is_said() -> None:
    """Rates that grow faster than the users do: the law has no such case."""
    found = fit({n: float(n**1.3) for n in LEVELS})
    assert found
    assert min(found.contention, found.coherency) >= 0
    assert found.worst_error > 0.2


@pytest.mark.parametrize("points", [0, 1, 5])
def test_few_points_are_no_law(points: int) -> None:
    rates = law(20, 0.1, 0.001)
    assert fit(dict(list(rates.items())[:points])) is None


def test_a_level_that_was_never_answered_is_no_point() -> None:
    rates = law(20, 0.1, 0.001)
    few = dict(list(rates.items())[:6]) | {16: 0.0}
    assert fit(few) is None
