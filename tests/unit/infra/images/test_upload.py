"""An upload of unknown size in parts, against a store that keeps books."""

import io
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores.upload import (
    IN_FLIGHT,
    PART,
    Pieces,
    Upload,
    part_size,
)


def content_of(body: Pieces) -> bytes:
    return b"".join(iter(lambda: body.read(10), b""))


class Store:
    """The calls of an S3 client that an upload makes, and what became of them."""

    def __init__(self, fails_at: int = 0) -> None:
        self.fails_at = fails_at
        self.objects: list[bytes] = []
        self.parts: dict[int, bytes] = {}
        self.open: set[str] = set()
        self.calls: list[str] = []
        self.storing = self.most_storing = 0
        self._lock = threading.Lock()

    def put_object(self, Body: Pieces, **_: Any) -> None:  # noqa: N803
        self.objects.append(content_of(Body))

    def create_multipart_upload(self, **_: Any) -> dict[str, str]:
        self.open.add("id")
        return {"UploadId": "id"}

    def upload_part(self, PartNumber: int, Body: Pieces, **_: Any) -> dict[str, str]:  # noqa: N803
        with self._lock:
            self.storing += 1
            self.most_storing = max(self.most_storing, self.storing)
        try:
            if PartNumber == self.fails_at:
                raise ConnectionError("the store went away")
            self.parts[PartNumber] = content_of(Body)
            return {"ETag": str(PartNumber)}
        finally:
            with self._lock:
                self.storing -= 1
                self.calls.append("part")

    def complete_multipart_upload(self, UploadId: str, MultipartUpload: Any, **_: Any) -> None:  # noqa: N803
        self.open.remove(UploadId)
        given = [self.parts[part["PartNumber"]] for part in MultipartUpload["Parts"]]
        self.objects.append(b"".join(given))

    def abort_multipart_upload(self, UploadId: str, **_: Any) -> None:  # noqa: N803
        self.calls.append("abort")
        self.open.remove(UploadId)


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as threads:
        yield threads


def send(upload: Upload, content: bytes) -> None:
    for start in range(0, len(content), 2**20):
        if (before := upload.add(content[start : start + 2**20])) is not None:
            before.result()
    upload.finish().result()


@pytest.mark.parametrize(
    ("size", "parts"),
    [(0, 0), (1, 0), (PART - 1, 0), (PART, 1), (PART + 1, 2), (6 * PART + 5, 7)],
)
def test_what_was_sent_is_stored(threads: ThreadPoolExecutor, size: int, parts: int) -> None:
    store = Store()
    content = bytes(range(256)) * (size // 256) + bytes(size % 256)
    send(Upload(store, threads, {}, {}), content)
    assert store.objects == [content]
    assert len(store.parts) == parts
    assert store.most_storing <= IN_FLIGHT + 1, "of all that was sent, little is held"
    assert store.open == set()


def test_nothing_stays_of_an_upload_that_failed(threads: ThreadPoolExecutor) -> None:
    store = Store(fails_at=3)
    upload = Upload(store, threads, {}, {})
    with pytest.raises(ConnectionError):
        send(upload, bytes(8 * PART))
    upload.abort().result()
    assert (store.objects, store.open) == ([], set())
    assert store.calls[-1] == "abort", "a part that comes later would stay"


def test_an_upload_that_had_not_started_has_nothing_to_drop(threads: ThreadPoolExecutor) -> None:
    store = Store()
    upload = Upload(store, threads, {}, {})
    upload.add(b"little")
    upload.abort().result()
    assert (store.objects, store.calls) == ([], [])


def test_ten_thousand_parts_suffice_for_the_largest_object() -> None:
    sent = parts = 0
    while sent < 5 * 2**40:
        sent += part_size(sent)
        parts += 1
    assert parts <= 10_000
    assert part_size(2**30) == PART


def test_pieces_are_read_and_measured_as_a_file_is() -> None:
    pieces, file = Pieces([b"abc", b"de", b"f"]), io.BytesIO(b"abcdef")
    for whence, place in ((os.SEEK_END, 0), (os.SEEK_SET, 3), (os.SEEK_SET, 0)):
        assert pieces.seek(place, whence) == file.seek(place, whence)
        assert (pieces.tell(), content_of(pieces)) == (file.tell(), file.read())
        assert (pieces.tell(), pieces.read()) == (6, b"")
    with pytest.raises(ValueError, match="1"):
        pieces.seek(1)


def test_an_empty_piece_does_not_end_a_part(threads: ThreadPoolExecutor) -> None:
    store = Store()
    upload = Upload(store, threads, {}, {})
    for piece in (b"one", b"", b"two"):
        upload.add(piece)
    upload.finish().result()
    assert store.objects == [b"onetwo"]
