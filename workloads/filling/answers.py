"""The right answers of searches among traces that follow from their numbers."""

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from workloads.filling import facts
from workloads.filling.facts import Shape

PAGE = 100
"""Traces of a page of results, as the web interface asks for."""

Numbers = NDArray[np.int64]


class Known:
    """All the traces, and which of them a search has to find."""

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.numbers: Numbers = np.arange(shape.traces)

    @cached_property
    def began_ms(self) -> Numbers:
        """When each began."""
        return self.shape.began_ms(self.numbers)

    @cached_property
    def durations_ms(self) -> Numbers:
        """How long each took."""
        return facts.duration_ms(self.numbers)

    def latest(self, which: NDArray[np.bool_], pages: int = 1) -> list[int]:
        """Numbers of the latest of those, the last one first: so many pages."""
        found: list[int] = np.flatnonzero(which)[-pages * PAGE :][::-1].tolist()
        return found


def check(search: str, request_ids: Iterable[str | None], expected: list[int]) -> None:
    """Raise `AssertionError` unless traces with these numbers were found, in this order."""
    found = [facts.number_of(request_id) for request_id in request_ids]
    if found == expected:
        return
    if len(found) != len(expected):
        raise AssertionError(f"{search}: {len(found)} traces, and there are {len(expected)}")
    if more := set(found) - set(expected):
        raise AssertionError(f"{search}: {len(more)} wrong traces, as number {min(more)}")
    raise AssertionError(f"{search}: the traces are not in order")
