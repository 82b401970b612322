"""Exit statuses of what tests stacks."""

from collections.abc import Iterable
from enum import IntEnum


class Status(IntEnum):
    """Exit status of a benchmark, as that of `python -m workloads run`."""

    GOOD = 0
    BAD = 1
    COULD_NOT_RUN = 2
    INVALID = 3

    @property
    def words(self) -> str:
        """The status as a person reads it."""
        return self.name.lower().replace("_", " ")


BY_WEIGHT = (Status.GOOD, Status.INVALID, Status.BAD, Status.COULD_NOT_RUN)


def worst(statuses: Iterable[Status]) -> Status:
    """Return the status that counts for several runs: 2 over 1 over 3 over 0."""
    return max(statuses, key=BY_WEIGHT.index, default=Status.COULD_NOT_RUN)


def status_of(code: int) -> Status:
    """Return what the exit code of a workload means; an unknown one is that it could not run."""
    return Status(code) if code in set(Status) else Status.COULD_NOT_RUN
