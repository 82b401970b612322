"""Reads an artifact while it is sent, in threads: the store may hang, and its server must not."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor
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
        reading = self._threads.submit(self._body.read, CHUNK)
        try:
            while chunk := await asyncio.wrap_future(reading):
                reading = self._threads.submit(self._body.read, CHUNK)
                yield chunk
        finally:
            # A thread may still be reading, which is no time to close.
            reading.add_done_callback(lambda _: self._body.close())
