"""When each call of a stage is to begin: nothing planned, planned arrivals, or planned bursts.

An open schedule is fixed before the load starts, so that a slow answer delays no later call's
planned time: the time from there on is what a person would have waited ("coordinated omission"
is its absence; see Gil Tene's wrk2).
"""

import random
from collections import defaultdict

from workloads.plan import Load, Stage


class Pace:
    """The share of one generator process in a stage's schedule; times are in ns.

    Of an open stage each process draws Poisson arrivals of its share of the rate from a seed of
    its own; together they are Poisson arrivals of the whole rate.
    """

    def __init__(
        self, stage: Stage, begin_ns: int, *, seed: int, process: int, processes: int
    ) -> None:
        self.planned = stage.load is not Load.CLOSED
        self._stage = stage
        self._begin_ns = begin_ns
        self._random = random.Random(f"{seed}/{stage.name}/{process}")  # noqa: S311 - repeatable
        self._share = (stage.rate or 0) / processes
        self._after_s = 0.0
        self._bursts: dict[int, int] = defaultdict(int)

    def overdue(self, now_ns: int) -> list[int]:
        """Arrivals of an open schedule that nobody has taken until now; none of a burst."""
        found: list[int] = []
        if self._stage.load is Load.OPEN:
            while (planned := self.next(0)) is not None and planned <= now_ns:
                found.append(planned)
        return found

    def next(self, user: int) -> int | None:
        """When this user's next call is due; None when the schedule has ended.

        Of a closed stage never asked. Arrivals are everybody's, in order; a burst is each user's.
        """
        if self._stage.load is Load.BURST:
            after_s = self._bursts[user] / (self._stage.rate or 1)
            self._bursts[user] += 1
        else:
            self._after_s += self._random.expovariate(self._share)
            after_s = self._after_s
        if not self._stage.goes_on and after_s >= self._stage.warm_up_s + self._stage.load_s:
            return None
        return self._begin_ns + int(after_s * 1e9)
