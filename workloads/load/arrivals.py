"""When each turn of a stage begins: at once, at planned arrivals, or in planned bursts.

An open schedule is fixed before the load starts, so that a slow answer delays no later turn: a
response time counts from the planned time. Without that there is coordinated omission (G. Tene,
"How NOT to Measure Latency"; wrk2).
"""

import random
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import islice

from workloads.plan.plan import Load, Stage


def arrivals(stage: Stage, begin_ns: int, seed: int) -> Iterator[int]:
    """Yield the Poisson arrivals of an open stage, in ns; they are the same in every process."""
    chance = random.Random(f"{seed}/{stage.name}")  # noqa: S311 - repeatable
    rate, after_s = stage.rate or 0.0, 0.0
    while True:
        after_s += chance.expovariate(rate)
        if not stage.goes_on and after_s >= stage.warm_up_s + stage.load_s:
            return
        yield begin_ns + int(after_s * 1e9)


class Schedule:
    """A stage's schedule, as a generator process follows it; times are in ns.

    Every process knows all arrivals of an open stage. `ticket` draws the number of the next one
    for whoever is free, in any process: an arrival waits only while every user is busy.
    """

    def __init__(
        self, stage: Stage, begin_ns: int, *, seed: int, ticket: Callable[[], int]
    ) -> None:
        self.planned = stage.load is not Load.CLOSED
        self.end_ns = sys.maxsize
        self._stage = stage
        self._begin_ns = begin_ns
        self._ticket = ticket
        self._arrivals = arrivals(stage, begin_ns, seed)
        self._passed = 0
        self._bursts: dict[int, int] = defaultdict(int)

    def next(self, user: int) -> int | None:
        """Return when this user's next turn is due; None when the schedule has ended.

        An arrival is one user's, a burst every user's. Not for closed stages.
        """
        planned = self._burst(user) if self._stage.load is Load.BURST else self._arrival()
        return None if planned is None or planned > self.end_ns else planned

    def _arrival(self) -> int | None:
        number = self._ticket()
        skipped, self._passed = number - self._passed, number + 1
        return next(islice(self._arrivals, skipped, None), None)

    def _burst(self, user: int) -> int | None:
        after_s = self._bursts[user] / (self._stage.rate or 1)
        self._bursts[user] += 1
        if not self._stage.goes_on and after_s >= self._stage.warm_up_s + self._stage.load_s:
            return None
        return self._begin_ns + int(after_s * 1e9)
