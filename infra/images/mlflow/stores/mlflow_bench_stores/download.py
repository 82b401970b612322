"""Reads an artifact while it is sent, in threads: the store may hang, and its server must not."""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import Executor, Future
from typing import Any

from .ranges import Facts

CHUNK = 2**20
"""Bytes that are read at once; twice as many are held."""


class Download:
    """An artifact, or a part of it, that `threads` read; `body` is what they read and close.

    To make one takes a thread, too: it reads the first chunk, so that a store that cannot be read
    is told by the answer's status, and not by an answer that breaks off.
    """

    def __init__(
        self, body: Any, facts: Facts, threads: Executor, part: range | None = None
    ) -> None:
        self._body = body
        self._threads = threads
        self.facts = facts
        self.part = part
        """Which bytes of the artifact; None: all."""
        self.size = size = facts.size if part is None else len(part)
        try:
            self._first = self._read(size) if size else b""
        except BaseException:
            body.close()
            raise

    def close(self) -> None:
        """Give up what is not to be read."""
        self._body.close()

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content; the next chunk is read while the present one is sent."""
        left = self.size
        reading: Future[bytes] | None = None
        try:
            chunk, self._first = self._first, b""
            while chunk:
                left -= len(chunk)
                reading = self._threads.submit(self._read, left) if left else None
                yield chunk
                chunk = await asyncio.wrap_future(reading) if reading else b""
        finally:
            if reading is None:
                self._body.close()
            else:
                # A thread may still be reading, which is no time to close.
                reading.add_done_callback(lambda _: self._body.close())

    def _read(self, left: int) -> bytes:
        """Read no more than there is: to ask for the end is one more request to a mount."""
        chunk: bytes = self._body.read(min(CHUNK, left))
        return chunk
