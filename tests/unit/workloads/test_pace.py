"""Schedules are fixed by the seed, and are what they are called."""

import numpy as np
import pytest

from tests.unit.workloads.builders import MS, S, stage
from workloads.pace import Pace
from workloads.plan import Load

OPEN = stage(load=Load.OPEN, rate=50, warm_up_s=10, load_s=90, users=8)


def arrivals(pace: Pace) -> list[int]:
    found = []
    while (planned := pace.next(0)) is not None:
        found.append(planned)
    return found


def made(seed: int = 1, process: int = 0, processes: int = 1) -> list[int]:
    return arrivals(Pace(OPEN, 5 * S, seed=seed, process=process, processes=processes))


def test_arrivals_follow_from_the_seed_and_the_process() -> None:
    assert made() == made()
    assert made(1, 0, 2) == made(1, 0, 2)
    assert len({tuple(made(1, 0, 2)), tuple(made(1, 1, 2)), tuple(made(2, 0, 2))}) == 3


def test_arrivals_fill_the_stage_and_nothing_else() -> None:
    planned = made()
    assert planned == sorted(planned)
    assert planned[0] >= 5 * S
    assert planned[-1] < 105 * S
    assert planned[-1] > 104 * S


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_together_the_processes_arrive_at_random_at_the_whole_rate(processes: int) -> None:
    together = sorted(t for process in range(processes) for t in made(1, process, processes))
    assert len(together) == pytest.approx(5000, rel=0.05)  # one deviation is 1.4 %
    gaps = np.diff(together) / S
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.05)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.1)  # of an exponential: its mean


def test_a_burst_is_each_users_at_the_same_moments() -> None:
    burst = stage(load=Load.BURST, rate=1 / 3, warm_up_s=3, load_s=6)
    pace = Pace(burst, 0, seed=1, process=0, processes=1)
    found = {user: [pace.next(user) for _ in range(4)] for user in (0, 1)}
    assert found[0] == found[1] == [0, 3000 * MS, 6000 * MS, None]


def test_a_closed_stage_plans_nothing() -> None:
    assert not Pace(stage(), 0, seed=1, process=0, processes=1).planned
    assert Pace(OPEN, 0, seed=1, process=0, processes=1).planned


def test_what_nobody_took_in_time_is_known() -> None:
    pace = Pace(OPEN, 0, seed=1, process=0, processes=1)
    taken = [pace.next(0) for _ in range(100)]
    left = pace.overdue(50 * S)
    assert [*taken, *left] == [t - 5 * S for t in made() if t <= 55 * S]
    burst = Pace(stage(load=Load.BURST, rate=1, users=2), 0, seed=1, process=0, processes=1)
    assert burst.overdue(50 * S) == []
