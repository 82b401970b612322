"""Schedules are fixed by the seed, and are what they are called."""

import itertools
import os

import numpy as np
import pytest

from tests.unit.workloads.builders import MS, S, stage
from workloads.load.arrivals import Schedule, arrivals
from workloads.load.tickets import Tickets
from workloads.plan.plan import Load

OPEN = stage(load=Load.OPEN, rate=50, warm_up_s=10, load_s=90, users=8)
BURST = stage(load=Load.BURST, rate=1 / 3, warm_up_s=3, load_s=6)


def made(seed: int = 1) -> list[int]:
    return list(arrivals(OPEN, 5 * S, seed))


def no_ticket() -> int:
    raise AssertionError("only arrivals have numbers")


def test_arrivals_follow_from_the_seed() -> None:
    assert made() == made()
    assert made(1) != made(2)


def test_arrivals_fill_the_stage_and_nothing_else() -> None:
    planned = made()
    assert planned == sorted(planned)
    assert planned[0] >= 5 * S
    assert planned[-1] < 105 * S
    assert planned[-1] > 104 * S


def test_arrivals_come_at_random_at_the_rate() -> None:
    planned = made()
    assert len(planned) == pytest.approx(5000, rel=0.05)  # one deviation is 1.4 %
    gaps = np.diff(planned) / S
    assert gaps.mean() == pytest.approx(1 / 50, rel=0.05)
    assert gaps.std() == pytest.approx(1 / 50, rel=0.1)  # of an exponential: its mean


def test_processes_share_the_arrivals_whoever_asks() -> None:
    """Each arrival is taken once, in order, by whichever process has a free user."""
    tickets = Tickets()
    paces = [Schedule(OPEN, 5 * S, seed=1, ticket=lambda: tickets.take(3)) for _ in range(3)]
    turns = itertools.chain([0] * 40, itertools.cycle([0, 2, 2, 1]))
    found = [paces[turn].next(0) for turn in itertools.islice(turns, 6000)]
    assert found[: len(made())] == made()
    assert set(found[len(made()) :]) == {None}
    assert tickets.counts(3) == (6000, 0)
    assert tickets.counts(2) == (0, 0)


def test_no_ticket_is_given_twice_to_real_processes() -> None:
    tickets = Tickets()
    pipes = []
    for _ in range(3):
        ours, theirs = os.pipe()
        if not os.fork():
            taken = [tickets.take(0) for _ in range(400)]
            os.write(theirs, ",".join(map(str, taken)).encode())
            tickets.finish(0)
            os._exit(0)
        os.close(theirs)
        pipes.append(os.fdopen(ours))
    found = []
    for pipe in pipes:
        with pipe:
            found += [int(number) for number in pipe.read().split(",")]
    for _ in pipes:
        os.wait()
    assert sorted(found) == list(range(1200))
    assert tickets.counts(0) == (1200, 3)


def test_an_end_leaves_what_was_planned_before() -> None:
    tickets = Tickets()
    pace = Schedule(
        OPEN.model_copy(update={"goes_on": True}), 5 * S, seed=1, ticket=lambda: tickets.take(0)
    )
    pace.end_ns = 50 * S
    found = list(iter(lambda: pace.next(0), None))
    assert found == [planned for planned in made() if planned <= 50 * S]


def test_a_burst_is_each_users_at_the_same_moments() -> None:
    pace = Schedule(BURST, 0, seed=1, ticket=no_ticket)
    found = {user: [pace.next(user) for _ in range(4)] for user in (0, 1)}
    assert found[0] == found[1] == [0, 3000 * MS, 6000 * MS, None]


def test_a_closed_stage_plans_nothing() -> None:
    assert not Schedule(stage(), 0, seed=1, ticket=no_ticket).planned
    assert Schedule(OPEN, 0, seed=1, ticket=no_ticket).planned
