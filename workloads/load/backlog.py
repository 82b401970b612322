"""What clients have not sent yet, of all generator processes: each writes its own number."""

import mmap
import struct

_NUMBER = struct.Struct("q")


class Backlog:
    """Numbers shared with processes that are forked later, one for each."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._numbers = mmap.mmap(-1, processes * _NUMBER.size)

    def tell(self, index: int, number: int) -> None:
        """Say how much is left in process `index`."""
        _NUMBER.pack_into(self._numbers, index * _NUMBER.size, number)

    def total(self) -> int:
        """Return how much is left in all processes."""
        sizes = range(0, self._processes * _NUMBER.size, _NUMBER.size)
        return sum(int(_NUMBER.unpack_from(self._numbers, at)[0]) for at in sizes)
