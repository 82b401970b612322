"""Whether stacks differ: intervals, bounds, zeros and many comparisons at once."""

import math
import random

import pytest

from workloads.comparison import paired
from workloads.comparison.bounded import Bound, Figure, mean
from workloads.comparison.paired import Contrast, Scale

AT_LEAST, AT_MOST, EXACT = Bound.AT_LEAST, Bound.AT_MOST, Bound.EXACT


def by_block(*values: float | Figure) -> dict[int, Figure]:
    return {n: v if isinstance(v, Figure) else Figure(v) for n, v in enumerate(values)}


def contrast(
    baseline: tuple[float | Figure, ...],
    other: tuple[float | Figure, ...],
    *twice: tuple[float, float],
    resolution: float = 0.0,
) -> Contrast | None:
    a, b = by_block(*baseline), by_block(*other)
    scale = paired.scale_of(
        [*a.values(), *b.values(), *(Figure(v) for pair in twice for v in pair)]
    )
    pairs = [(Figure(first), Figure(again)) for first, again in twice]
    return paired.contrast(a, b, pairs, scale, resolution)


def test_a_ratio_is_paired_by_block() -> None:
    # Both get slower from block to block; within a block the second is always twice the first.
    found = contrast((1, 2, 4, 8, 16), (2, 4, 8, 16, 32), (1, 1.1))
    assert found
    assert found.value == pytest.approx(2)
    assert [found.low, found.high] == pytest.approx([2, 2])
    assert found.beyond_noise


def test_the_interval_is_students() -> None:
    """Two blocks, by hand: t of one degree of freedom is 12.706 at 97.5 %."""
    found = contrast((1, 1), (math.exp(1), math.exp(3)))
    assert found
    assert found.value == pytest.approx(math.exp(2))
    assert found.blocks == 2
    assert math.log(found.low) == pytest.approx(2 - 12.706, abs=1e-3)
    assert math.log(found.high) == pytest.approx(2 + 12.706, abs=1e-3)
    assert found.p == pytest.approx(2 * (0.5 - math.atan(2) / math.pi))  # Cauchy's distribution


@pytest.mark.parametrize("blocks", [3, 5])
def test_the_interval_holds_the_truth_as_often_as_it_says(blocks: int) -> None:
    """A percentile bootstrap of five values holds it 83 times of 100."""
    chance = random.Random(1)
    held = 0
    for _ in range(400):
        other = tuple(1.5 * math.exp(chance.gauss(0, 0.1)) for _ in range(blocks))
        found = contrast((1.0,) * blocks, other)
        assert found
        held += found.low <= 1.5 <= found.high
    assert 0.92 <= held / 400 <= 0.98


@pytest.mark.parametrize(
    ("other", "twice", "beyond"),
    [
        ((1.5, 1.6, 1.4, 1.5, 1.6), [(1, 1.2)], True),
        ((0.5, 0.6, 0.5, 0.6, 0.5), [(1.2, 1)], True),
        ((1.5, 1.6, 1.4, 1.5, 1.6), [(1, 1.1), (1, 1.48)], False),  # the same stack differs so far
        ((1.3, 0.8, 1.2, 0.9, 1.1), [(1, 1.01)], False),  # the interval holds 1
        ((1.5, 1.6, 1.4, 1.5, 1.6), [], False),  # nothing was deployed twice
    ],
)
def test_only_what_lies_beyond_the_noise_is_claimed(
    other: tuple[float, ...], twice: list[tuple[float, float]], beyond: bool
) -> None:
    found = contrast((1, 1, 1, 1, 1), other, *twice)
    assert found
    assert found.beyond_noise is beyond


def test_nothing_is_said_of_one_pair() -> None:
    assert contrast((1.0,), (5.0,)) is None
    assert paired.contrast({0: Figure(1)}, {1: Figure(1)}, [], Scale.RATIO) is None


def test_a_zero_is_compared_by_differences() -> None:
    found = contrast((0, 0, 0, 0, 0), (50, 52, 48, 50, 50), (0, 1))
    assert found
    assert (found.scale, found.value, found.spread) == (Scale.DIFFERENCE, 50, 1)
    assert found.low == pytest.approx(50 - 1.756, abs=1e-3)
    assert found.beyond_noise
    same = contrast((0, 0, 0), (0, 0, 0), (0, 0))
    assert same
    assert (same.value, same.p, same.beyond_noise) == (0, 1, False)


@pytest.mark.parametrize(
    ("baseline", "other", "bound", "beyond"),
    [
        ((10,) * 5, (Figure(60, bound=AT_LEAST),) * 5, AT_LEAST, True),
        ((10,) * 5, (9, 10, 11, 10, Figure(60, bound=AT_LEAST)), AT_LEAST, False),
        ((Figure(60, bound=AT_LEAST),) * 5, (10,) * 5, AT_MOST, True),
        ((10,) * 5, (Figure(60, bound=AT_MOST),) * 5, AT_MOST, False),  # as fast, perhaps
        ((10,) * 5, (Figure(5, bound=AT_MOST),) * 5, AT_MOST, True),
    ],
)
def test_a_bound_takes_part_as_one(
    baseline: tuple[float | Figure, ...],
    other: tuple[float | Figure, ...],
    bound: Bound,
    beyond: bool,
) -> None:
    found = contrast(baseline, other, (10, 10.5))
    assert found
    assert (found.bound, found.beyond_noise) == (bound, beyond)
    assert math.isinf(found.high) is (bound is AT_LEAST)
    assert (found.low == 0) is (bound is AT_MOST)
    assert (found.p < 1e-3) is beyond


def test_bounds_of_which_none_helps_are_no_contrast() -> None:
    late, never = Figure(9, bound=AT_MOST), Figure(60, bound=AT_LEAST)
    assert contrast((10, 10), (late, never)) is None
    assert contrast((never, never), (never, never)) is None


def test_what_is_under_the_resolution_is_not_beyond_the_noise() -> None:
    blocks = ((7,) * 5, (8,) * 5, (7, 7))
    exact, coarse = contrast(*blocks), contrast(*blocks, resolution=1.0)
    assert exact
    assert exact.beyond_noise
    assert coarse
    assert not coarse.beyond_noise


def test_other_machines_are_not_paired() -> None:
    far = tuple(Figure(2, machine="64 cores") for _ in range(5))
    assert contrast((1.0,) * 5, far) is None


@pytest.mark.parametrize(
    ("twice", "spread"), [((), None), (((2, 1), (1, 1.1)), 2.0), (((1, 1),), 1.0), (((0, 3),), 3.0)]
)
def test_the_spread_is_the_largest_of_the_duplicates(
    twice: tuple[tuple[float, float], ...], spread: float | None
) -> None:
    found = contrast((1, 1), (1, 1), *twice)
    assert found
    assert found.spread == (pytest.approx(spread) if spread else None)


@pytest.mark.parametrize(
    ("p_values", "rejected"),
    [
        ({}, set()),
        ({"a": 0.04}, {"a"}),
        ({"a": 0.04, "b": 0.9}, set()),  # 0.04 of two is not under 0.025
        ({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}, {"a", "d"}),  # Holm's own steps
    ],
)
def test_all_comparisons_are_tested_together(
    p_values: dict[str, float], rejected: set[str]
) -> None:
    assert paired.holm(p_values) == rejected


@pytest.mark.parametrize(
    ("figures", "value", "bound"),
    [
        ([Figure(8), Figure(10)], 9, EXACT),
        ([Figure(8), Figure(60, bound=AT_LEAST)], 34, AT_LEAST),
        ([Figure(8), Figure(4, bound=AT_MOST)], 6, AT_MOST),
        ([Figure(4, bound=AT_MOST), Figure(60, bound=AT_LEAST)], 30, AT_LEAST),
    ],
)
def test_a_mean_of_bounds_is_a_bound(figures: list[Figure], value: float, bound: Bound) -> None:
    assert mean(figures) == (value, bound)
