"""A limit on the writes to one run that a worker works on at once.

They wait for each other in the database. Where a replica that froze or lost its network holds the
run's rows, they wait until PostgreSQL gives it up, and would fill the slots of all other requests:
one run that several processes log to would take the whole service with it. (A bulkhead, as in
M. Nygard, Release It!, 2nd ed., section 5.)
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

MOST = 2
"""Writes to a run at once: the next is parsed while one commits."""

PATH = "/mlflow/runs/"
RUN = re.compile(rb'"run_(?:id|uuid)"\s*:\s*"([^"\\]{1,64})"')
"""What a body says of its run, without parsing the rest, which may have megabytes."""


class RunLimit:
    """Lets `most` writes to each run in; only a worker's event loop asks."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._turns: dict[bytes, asyncio.Semaphore] = {}
        self._inside: dict[bytes, int] = {}

    @asynccontextmanager
    async def turn(self, path: str, content: bytes) -> AsyncIterator[None]:
        """Wait until the write has its turn; what is no write to a run has it at once."""
        run = RUN.search(content) if PATH in path else None
        if run is None:
            yield
            return
        key = run[1]
        turns = self._turns.setdefault(key, asyncio.Semaphore(self._most))
        self._inside[key] = self._inside.get(key, 0) + 1
        try:
            async with turns:
                yield
        finally:
            self._inside[key] -= 1
            if not self._inside[key]:
                del self._inside[key], self._turns[key]
