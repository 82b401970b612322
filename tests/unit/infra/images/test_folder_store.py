"""What a folder is given to write: the pieces of a request, put together."""

# mypy: allow-untyped-calls

import asyncio
import errno
import os
import random
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from infra.images.mlflow.stores.mlflow_bench_stores.download import Download
from infra.images.mlflow.stores.mlflow_bench_stores.folder import (
    BLOCK,
    MOUNT_NAMES,
    FolderRepository,
    blocks,
)
from infra.images.mlflow.stores.mlflow_bench_stores.ranges import Facts, Part


async def stream(pieces: list[bytes], *, breaks: bool = False) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
    if breaks:
        raise RuntimeError("the client is gone")


def collected(pieces: list[bytes]) -> list[bytes]:
    async def all_of() -> list[bytes]:
        return [block async for block in blocks(stream(pieces))]

    return asyncio.run(all_of())


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([10], [10]),
        ([BLOCK], [BLOCK]),
        ([2**16] * 16, [BLOCK]),
        ([2**16] * 17, [BLOCK, 2**16]),
        ([3 * BLOCK, 1], [3 * BLOCK, 1]),
        ([1, BLOCK, 1], [BLOCK + 1, 1]),
    ],
    ids=str,
)
def test_small_pieces_become_large_ones_and_nothing_is_changed(
    sizes: list[int], expected: list[int]
) -> None:
    pieces = [random.Random(7).randbytes(size) for size in sizes]
    found = collected(pieces)
    assert [len(block) for block in found] == expected
    assert b"".join(found) == b"".join(pieces)


def test_a_stream_becomes_a_file_that_others_may_read(tmp_path: Path) -> None:
    pieces = [b"a" * BLOCK, b"b" * 10]
    store = FolderRepository(tmp_path.as_uri())
    asyncio.run(store.log_artifact_from_async_stream(stream(pieces), "model.bin", "run/artifacts"))
    [file] = (tmp_path / "run/artifacts").iterdir()
    assert file.name == "model.bin"
    assert file.read_bytes() == b"".join(pieces)
    assert file.stat().st_mode & 0o777 == 0o644


def test_an_upload_follows_no_link(tmp_path: Path) -> None:
    outside, run = tmp_path / "outside", tmp_path / "store/run"
    outside.mkdir()
    run.mkdir(parents=True)
    (run / "folder").symlink_to(outside)
    (outside / "file").write_bytes(b"before")
    (run / "file").symlink_to(outside / "file")
    store = FolderRepository((tmp_path / "store").as_uri())

    async def upload(folder: str, name: str) -> None:
        await store.log_artifact_from_async_stream(stream([b"a"]), name, folder)

    for folder, name in [
        ("run/folder", "file"),
        ("../outside", "file"),
        ("run", ".artifact.uploading.x"),
    ]:
        with pytest.raises(MlflowException) as refused:
            asyncio.run(upload(folder, name))
        assert refused.value.get_http_status_code() == 400, folder
    asyncio.run(upload("run", "file"))
    assert (run / "file").read_bytes() == b"a"
    assert not (run / "file").is_symlink()
    assert [file.read_bytes() for file in outside.iterdir()] == [b"before"]


def give_name(descriptor: int, attribute: str, name: bytes, how: int) -> None:
    """What a FUSE mount of NFS does; how it does so is tested on a real one."""
    assert (attribute, how) == (MOUNT_NAMES, os.XATTR_REPLACE)
    draft = Path(f"/proc/self/fd/{descriptor}").readlink()
    draft.rename(draft.with_name(name.decode()))


def test_a_mount_names_its_drafts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NFS_DRAFTS", "mark-of-the-mount")
    monkeypatch.setattr(os, "setxattr", give_name)
    store = FolderRepository(tmp_path.as_uri())
    seen: list[str] = []

    async def watched() -> AsyncIterator[bytes]:
        yield b"a" * BLOCK
        seen.extend(file.name for file in tmp_path.iterdir())
        yield b"b"

    asyncio.run(store.log_artifact_from_async_stream(watched(), "file"))
    [draft] = seen
    assert draft.startswith(".artifact.uploading.mark-of-the-mount")
    assert (tmp_path / "file").read_bytes() == b"a" * BLOCK + b"b"


def test_a_folder_that_is_not_the_mount_that_names_drafts_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NFS_DRAFTS", "mark-of-the-mount")
    store = FolderRepository(tmp_path.as_uri())
    with pytest.raises(MlflowException, match=r"No data available|Operation not supported"):
        asyncio.run(store.log_artifact_from_async_stream(stream([b"a"]), "file"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_listed_without_drafts(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / "sub").mkdir(parents=True)
    (run / "sub/below").touch()
    (run / "b").write_bytes(b"12345")
    (run / "a").write_bytes(b"")
    (run / ".artifact.uploading.x").write_bytes(b"half")
    (run / "removed").symlink_to(run / "nowhere")
    (run / "outside").symlink_to("/etc")
    store = FolderRepository(tmp_path.as_uri())

    def listed(path: str | None) -> list[tuple[str, bool, int | None]]:
        return [(one.path, one.is_dir, one.file_size) for one in store.list_artifacts(path)]

    everything = [
        ("run/a", False, 0),
        ("run/b", False, 5),
        ("run/outside", True, None),
        ("run/sub", True, None),
    ]
    assert listed("run") == listed("run/") == everything
    assert listed(None) == listed("") == [("run", True, None)]
    assert listed("run/none") == listed("run/a") == listed("run/a/none") == []
    for path in "../run", "run/outside":
        with pytest.raises(MlflowException) as refused:
            listed(path)
        assert refused.value.get_http_status_code() == 400, path


def test_a_stream_that_breaks_leaves_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"before")
    store = FolderRepository(tmp_path.as_uri())
    broken = stream([b"a" * 10], breaks=True)
    with pytest.raises(RuntimeError):
        asyncio.run(store.log_artifact_from_async_stream(broken, "model.bin"))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"before"]


def test_closing_a_file_keeps_no_other_request_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a mount whose server hangs: there, what was written is waited for when it is closed."""
    hangs = threading.Event()
    monkeypatch.setattr(os, "fsync", lambda _: hangs.wait(30))
    store = FolderRepository(tmp_path.as_uri())

    async def both() -> list[str]:
        upload = asyncio.create_task(store.log_artifact_from_async_stream(stream([b"a"]), "file"))
        for _ in range(20):
            await asyncio.sleep(0.01)
        before = os.listdir(tmp_path)  # noqa: PTH208
        hangs.set()
        await upload
        return before

    [draft] = asyncio.run(both())
    assert draft != "file"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("path", "left"),
    [("run/artifacts/file", ["run/artifacts"]), ("run/artifacts", ["run"]), ("run/none", ["run"])],
)
def test_a_deletion_is_acknowledged_once_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, left: list[str]
) -> None:
    """Also one that is asked for again: the first one's answer may have been an error."""
    (tmp_path / "run/artifacts").mkdir(parents=True)
    (tmp_path / "run/artifacts/file").write_bytes(b"content")
    synchronised: list[str] = []

    def fsync(descriptor: int) -> None:
        assert not (tmp_path / path).exists()
        folder = Path(f"/proc/self/fd/{descriptor}").readlink()
        synchronised.append(str(folder.relative_to(tmp_path)))

    monkeypatch.setattr(os, "fsync", fsync)
    FolderRepository(tmp_path.as_uri()).delete_artifacts(path)
    assert synchronised == left


def test_what_is_read_is_what_is_there(tmp_path: Path) -> None:
    content = random.Random(7).randbytes(3 * BLOCK + 5)
    (tmp_path / "run").mkdir()
    (tmp_path / "run/model.bin").write_bytes(content)
    (tmp_path / "run/link").symlink_to("/etc/hostname")
    store = FolderRepository(tmp_path.as_uri())

    async def read(path: str) -> tuple[int, bytes]:
        found = await store.open(path)
        return found.size, b"".join([chunk async for chunk in found.chunks()])

    assert asyncio.run(read("run/model.bin")) == (len(content), content)
    for path, status in [
        ("run/none", 404),
        ("run/model.bin/none", 404),
        ("run", 400),
        ("../run", 400),
        ("run/link", 400),
    ]:
        with pytest.raises(MlflowException) as refused:
            asyncio.run(read(path))
        assert refused.value.get_http_status_code() == status, path


def test_a_part_is_read_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(range(200)))
    store = FolderRepository(tmp_path.as_uri())

    async def read(part: Part) -> tuple[range | None, bytes, Facts]:
        found = await store.open("file", part)
        content = b"".join([chunk async for chunk in found.chunks()])
        return found.part, content, await store.facts("file")

    part, content, facts = asyncio.run(read(Part(None, 5)))
    assert (part, content, facts.size) == (range(195, 200), bytes(range(195, 200)), 200)
    before = facts.etag
    os.utime(tmp_path / "file", ns=(0, 1))
    assert asyncio.run(read(Part(0, 9)))[2].etag != before


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("run", "'run' is a folder"),
        ("run/file/x", "'run/file/x' is below a file"),
        ("run/file/x/y", "'run/file/x/y' is below a file"),
        ("run/" + "n" * 256, "has 256 bytes, and the artifact store takes 255"),
        ("run/" + "n" * 256 + "/x", "has 256 bytes, and the artifact store takes 255"),
        ("run/" + "/".join(["n" * 200] * 30), "it has 6033 bytes, and the artifact store takes 40"),
        ("run/..\\x", "step upwards"),
        ("run/.", "names a folder"),
    ],
)
def test_a_path_that_cannot_be_is_the_client_s_mistake(
    tmp_path: Path, path: str, says: str
) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run/file").write_bytes(b"before")
    store = FolderRepository(tmp_path.as_uri())
    folder, _, name = path.rpartition("/")
    with pytest.raises(MlflowException, match=says) as refused:
        asyncio.run(store.log_artifact_from_async_stream(stream([b"x"]), name, folder or None))
    assert refused.value.get_http_status_code() == 400
    assert [file.name for file in (tmp_path / "run").iterdir()] == ["file"]
    assert (tmp_path / "run/file").read_bytes() == b"before"


@pytest.mark.parametrize(
    ("replacements", "trouble", "answer"),
    [
        (3, errno.ESTALE, b"content"),
        (1000, errno.ESTALE, "The artifact store {} failed: Stale file handle"),
        (1, errno.EIO, "The artifact store {} failed: Input/output error"),
    ],
)
def test_what_is_replaced_before_its_first_bytes_are_read_is_opened_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    replacements: int,
    trouble: int,
    answer: bytes | str,
) -> None:
    """As NFS has it; all others are told by an exception, and so by the answer's status."""
    (tmp_path / "file").write_bytes(b"content")
    bodies: list[Any] = []

    class Replaced:
        def __init__(self, body: Any) -> None:
            bodies.append(body)
            self.body = body

        def read(self, size: int) -> bytes:
            if len(bodies) <= replacements:
                raise OSError(trouble, os.strerror(trouble))
            return bytes(self.body.read(size))

        def close(self) -> None:
            self.body.close()

    def download(body: Any, facts: Facts, threads: Any) -> Download:
        return Download(Replaced(body), facts, threads)

    async def read() -> bytes:
        found = await FolderRepository(tmp_path.as_uri()).open("file")
        return b"".join([chunk async for chunk in found.chunks()])

    monkeypatch.setattr(f"{FolderRepository.__module__}.Download", download)
    monkeypatch.setattr(f"{FolderRepository.__module__}.REPLACED_SECONDS", 0.2)
    if isinstance(answer, bytes):
        assert asyncio.run(read()) == answer
    else:
        with pytest.raises(MlflowException) as told:
            asyncio.run(read())
        assert told.value.message == answer.format(tmp_path)
    assert all(body.closed for body in bodies)
