"""Who takes the next arrival of an open schedule: one queue for users of all processes."""

import mmap
import multiprocessing
import struct

ROWS = 512
"""Most schedules of a run: one for each stage."""

_ROW = struct.Struct("qq")


class Tickets:
    """Counters shared with processes that are forked later.

    Each schedule has a row: arrivals taken, turns over.
    """

    def __init__(self) -> None:
        self._rows = mmap.mmap(-1, ROWS * _ROW.size)
        self._lock = multiprocessing.get_context("fork").Lock()

    def take(self, row: int) -> int:
        """Return the number of the next arrival, from 0 on: nobody else gets the same."""
        with self._lock:
            started, done = _ROW.unpack_from(self._rows, row * _ROW.size)
            _ROW.pack_into(self._rows, row * _ROW.size, started + 1, done)
        return int(started)

    def finish(self, row: int) -> None:
        """Count a turn that is over."""
        with self._lock:
            started, done = _ROW.unpack_from(self._rows, row * _ROW.size)
            _ROW.pack_into(self._rows, row * _ROW.size, started, done + 1)

    def counts(self, row: int) -> tuple[int, int]:
        """Return how many arrivals were taken, and how many turns are over."""
        with self._lock:
            started, done = _ROW.unpack_from(self._rows, row * _ROW.size)
        return int(started), int(done)
