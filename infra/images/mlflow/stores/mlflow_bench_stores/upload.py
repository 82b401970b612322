"""Writes an object of unknown size while it comes in; nothing of it shows until it is whole."""

import itertools
import os
from collections.abc import Mapping
from concurrent.futures import Executor, Future, wait
from typing import Any

PART = 8 * 2**20
"""Bytes of a part, at least; S3 takes none below 5 MiB but the last."""

IN_FLIGHT = 3
"""Parts that are being stored while the next comes in: S3 answers when a part is on its disk."""


def part_size(sent: int) -> int:
    """Return the bytes of the next part after so many bytes.

    They grow, so that 10,000 parts, S3's most, suffice for 5 TiB, its largest object.
    """
    return max(PART, sent // 1000)


class Pieces:
    """A file of pieces as they came in, which are not copied; a read returns the next as it is.

    The S3 client would read a file of 8 MiB 16 KiB at a time.
    """

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = pieces
        self._ends = [0, *itertools.accumulate(map(len, pieces))]
        self._next = 0

    def read(self, _: int = -1) -> bytes:
        """Return the next piece; at the end, nothing."""
        self._next += 1
        return self._pieces[self._next - 1] if self._next <= len(self._pieces) else b""

    def tell(self) -> int:
        """Return how many bytes were read."""
        return self._ends[min(self._next, len(self._pieces))]

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to the start of a piece, or to the end; raise `ValueError` for any other place."""
        place = offset + self._ends[-1] if whence == os.SEEK_END else offset
        self._next = self._ends.index(place)
        return place


class Upload:
    """One object: a single request when it is small, otherwise a multipart upload.

    What waits for S3 runs in `threads`, which start what they are given in order: what comes later
    may wait for what came before.
    """

    def __init__(
        self, client: Any, threads: Executor, place: Mapping[str, str], options: Mapping[str, Any]
    ) -> None:
        self._client = client
        self._threads = threads
        self._place = place
        self._options = options
        self._id: Future[str] | None = None
        self._parts: list[Future[dict[str, Any]]] = []
        self._part: list[bytes] = []
        self._size = 0
        self._sent = 0

    def add(self, content: bytes) -> Future[Any] | None:
        """Take what came in; return what has to be done before more is taken, if anything."""
        if content:  # an empty piece would be the end of the part
            self._part.append(content)
        self._size += len(content)
        if self._size < part_size(self._sent):
            return None
        if self._id is None:
            self._id = self._threads.submit(self._start)
        self._parts.append(
            self._threads.submit(self._store, self._id, len(self._parts) + 1, self._part)
        )
        self._sent += self._size
        self._part, self._size = [], 0
        return self._parts[-IN_FLIGHT] if len(self._parts) >= IN_FLIGHT else None

    def finish(self) -> Future[None]:
        """Store the rest and make the object appear."""
        return self._threads.submit(self._finish)

    def abort(self) -> Future[None]:
        """Drop what was stored."""
        return self._threads.submit(self._abort)

    def _start(self) -> str:
        started = self._client.create_multipart_upload(**self._place, **self._options)
        return str(started["UploadId"])

    def _store(self, upload: Future[str], number: int, content: list[bytes]) -> dict[str, Any]:
        stored = self._client.upload_part(
            **self._place, UploadId=upload.result(), PartNumber=number, Body=Pieces(content)
        )
        return {"PartNumber": number, "ETag": stored["ETag"]}

    def _finish(self) -> None:
        if self._id is None:
            self._client.put_object(**self._place, **self._options, Body=Pieces(self._part))
            return
        last = []
        if self._size:
            last.append(self._store(self._id, len(self._parts) + 1, self._part))
        self._client.complete_multipart_upload(
            **self._place,
            UploadId=self._id.result(),
            MultipartUpload={"Parts": [part.result() for part in self._parts] + last},
        )

    def _abort(self) -> None:
        if self._id is not None:
            # A part that S3 takes after the end would stay.
            wait(self._parts)
            self._client.abort_multipart_upload(**self._place, UploadId=self._id.result())
