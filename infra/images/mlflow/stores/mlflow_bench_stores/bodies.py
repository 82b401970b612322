"""What a request's body may take of a worker's memory.

MLflow holds each body as a whole, and so does the answer of every route but those of artifacts. A
body that is compressed may be a thousand times larger than it came.
"""

import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

MOST_BYTES = 32 * 2**20
"""Bytes of one body, decompressed. OpenTelemetry's collector takes 20 MiB."""

HELD_BYTES = 3 * MOST_BYTES
"""Bytes of all bodies that a worker holds at once."""

WINDOWS = {"gzip": (31,), "deflate": (15, -15)}
"""How zlib reads an encoding; `deflate` is sent with and without its own header."""

Receive = Callable[[], Awaitable[Any]]


class RefusedError(Exception):
    """A body that is not taken, with the answer's status."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


class ClientGoneError(Exception):
    """The client closed its connection before the end of its body."""


class Body:
    """A body, and how much of the worker's share it takes."""

    def __init__(self, bodies: "Bodies") -> None:
        self.content = b""
        self._bodies = bodies
        self._bytes = 0

    def take(self, more: int) -> None:
        """Take a share for so many bytes more; raise `RefusedError` if there are none left."""
        if self._bytes + more > self._bodies.most:
            raise RefusedError(413, f"the body has more than {self._bodies.most} bytes")
        if self._bodies.held + more > self._bodies.share:
            raise RefusedError(
                503, f"the bodies of all requests have more than {self._bodies.share} bytes"
            )
        self._bytes += more
        self._bodies.held += more

    @property
    def most(self) -> int:
        """Most bytes that it may have."""
        return self._bodies.most

    def replace(self, content: bytes) -> None:
        """Hold another content instead; raise `RefusedError` where there is no room for it."""
        self.give_back()
        self.content = b""
        self.take(len(content))
        self.content = content

    def give_back(self) -> None:
        """Give back the whole share."""
        self._bodies.held -= self._bytes
        self._bytes = 0


class Bodies:
    """The bodies of one worker; only its event loop asks."""

    def __init__(self, most: int = MOST_BYTES, share: int = HELD_BYTES) -> None:
        self.most = most
        self.share = share
        self.held = 0

    @asynccontextmanager
    async def read(self, receive: Receive) -> AsyncIterator[Body]:
        """Read a whole body; raise `RefusedError` where it is too large, `ClientGoneError`.

        What is refused is read to its end all the same: a connection that is closed before hides
        the answer from its client, and a proxy says 502.
        """
        body = Body(self)
        chunks: list[bytes] = []
        refused: RefusedError | None = None
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                chunk = message.get("body", b"")
                if refused is None:
                    try:
                        body.take(len(chunk))
                        chunks.append(chunk)
                    except RefusedError as error:
                        refused = error
                        chunks.clear()
                        body.give_back()
                if not message.get("more_body", False):
                    break
            if refused is not None:
                raise refused
            body.content = b"".join(chunks)
            chunks.clear()
            yield body
        finally:
            body.give_back()


def decompress(content: bytes, encoding: str, most: int) -> bytes:
    """Return what a body of one of `WINDOWS` holds, without making more than `most` bytes of it.

    Raises `RefusedError`: 413 if it holds more, 400 if it is not of that encoding.
    """
    for window in WINDOWS[encoding]:
        try:
            return _decompress(content, window, most)
        except (zlib.error, EOFError):
            continue
    raise RefusedError(400, f"the body is not {encoding}")


def _decompress(content: bytes, window: int, most: int) -> bytes:
    parts: list[bytes] = []
    left = most
    while True:
        stream = zlib.decompressobj(window)
        # One byte more shows that there is more.
        part = stream.decompress(content, left + 1)
        left -= len(part)
        if left < 0:
            raise RefusedError(413, f"the body has more than {most} bytes, decompressed")
        parts.append(part)
        if not stream.eof:
            raise EOFError
        content = stream.unused_data
        # A gzip file may hold several, one after another.
        if window < 16 or not content:
            return b"".join(parts)
