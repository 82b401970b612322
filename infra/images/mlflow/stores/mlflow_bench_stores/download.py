"""Reads an artifact while it is sent, in threads: the store may hang, and its server must not."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from typing import Any

CHUNK = 2**20
"""Bytes that are read at once; twice as many are held."""


class Download:
    """Content of known size, in bytes, that `threads` read; `body` is what they read and close."""

    def __init__(self, body: Any, size: int, threads: Executor) -> None:
        self._body = body
        self._threads = threads
        self.size = size

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content; the next chunk is read while the present one is sent."""
        left = self.size
        reading = self._read(left)
        try:
            while left and (chunk := await asyncio.wrap_future(reading)):
                left -= len(chunk)
                if left:
                    reading = self._read(left)
                yield chunk
        finally:
            # A thread may still be reading, which is no time to close.
            reading.add_done_callback(lambda _: self._body.close())

    def _read(self, left: int) -> "Future[bytes]":
        """Read no more than there is: to ask for the end is one more request to a mount."""
        return self._threads.submit(self._body.read, min(CHUNK, left))
