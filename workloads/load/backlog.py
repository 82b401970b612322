"""What clients have sent of traces and what they have not, of all generator processes.

Each process writes its own numbers, and the one that shows a load reads all of them.
"""

import mmap
import struct
from typing import NamedTuple

_NUMBERS = struct.Struct("qqq")


class Sent(NamedTuple):
    """Numbers of a process, or of all together."""

    unsent: int
    """Spans and export tasks that wait in clients."""
    spans: int
    """Spans that were acknowledged since the begin."""
    dropped: int
    """Spans that clients threw away since the begin."""


class Backlog:
    """Numbers shared with processes that are forked later, `Sent` for each."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._numbers = mmap.mmap(-1, processes * _NUMBERS.size)

    def tell(self, index: int, sent: Sent) -> None:
        """Say how far process `index` is."""
        _NUMBERS.pack_into(self._numbers, index * _NUMBERS.size, *sent)

    def sent(self) -> Sent:
        """Return the numbers of all processes together."""
        places = range(0, self._processes * _NUMBERS.size, _NUMBERS.size)
        each = [_NUMBERS.unpack_from(self._numbers, at) for at in places]
        return Sent(*(sum(column) for column in zip(*each, strict=True)))

    def total(self) -> int:
        """Return how much is left in all processes."""
        return self.sent().unsent
