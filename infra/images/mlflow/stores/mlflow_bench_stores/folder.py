"""A folder as an artifact store: a volume, or a mounted NFS export.

MLflow's own repository writes an artifact beside its place and renames it, so that no reader sees
half of one. This class adds that what was done is on stable storage by then, and that a store that
cannot be written or read says so in its answer: MLflow has only `Internal Server Error` for that,
and an empty list for a folder that it cannot read. It takes the place of MLflow's own for `file`.
"""

import asyncio
import errno
import os
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO
from uuid import uuid4

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.local_artifact_repo import (
    _TEMP_ARTIFACT_PREFIX,
    LocalArtifactRepository,
    _verify_artifact_file_name,
)

from .download import Download
from .paths import PATH_BYTES, clean, clean_file, refused, shortened, too_long
from .ranges import Facts, Part

BLOCK = 2**20
"""Bytes that are written at once, at least: as much as a mount passes on in one request."""

OUTSIDE = "Invalid path: resolved path is outside the artifact directory"

MOUNT_NAMES = "user.nfs-mount.name"
"""Attribute by which a FUSE mount of NFS has a draft stable and under its name in one request."""

REPLACED_SECONDS = 5.0
"""How long a file is opened again that was replaced on NFS before its first bytes were read: the
server names the former file until its disk has the new name."""

REPLACED_PAUSE_SECONDS = 0.005

_threads = ThreadPoolExecutor(16, thread_name_prefix="folder")
"""Wait for the store when artifacts are read; those that serve the API are others."""


class FolderRepository(LocalArtifactRepository):
    """MLflow's repository of a folder, with stable storage and answers that name the cause."""

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store one file."""
        path = clean_file(_joined(artifact_path, Path(local_file).name))
        folder = path.rpartition("/")[0] or None
        with _naming_errors(self.artifact_dir, path):
            super().log_artifact(local_file, folder)  # type: ignore[no-untyped-call]

    def log_artifact_from_stream(
        self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Store what a stream has."""
        path = clean_file(_joined(artifact_path, artifact_file_name))
        folder, _, name = path.rpartition("/")
        with _naming_errors(self.artifact_dir, path):
            super().log_artifact_from_stream(stream, name, folder or None)

    async def log_artifact_from_async_stream(
        self,
        chunks: AsyncIterable[bytes],
        artifact_file_name: str,
        artifact_path: str | None = None,
    ) -> None:
        """Store what a stream has; what waits for the store does so in a thread.

        MLflow's own closes the file on the event loop. A mount that a server hangs behind waits
        there for what was written, and every other request of the process with it.
        """
        path = clean_file(_joined(artifact_path, artifact_file_name))
        with _naming_errors(self.artifact_dir, path):
            draft = await asyncio.to_thread(self._draft, path)
            try:
                last = b""
                async for block in blocks(chunks):
                    if last:
                        await asyncio.to_thread(draft.file.write, last)
                    last = block
                # In one thread's turn: a small file needs no other.
                await asyncio.to_thread(draft.publish, last)
            except BaseException:
                await asyncio.to_thread(draft.drop)
                raise

    def _draft(self, artifact_path: str) -> "Draft":
        parent, _, name = artifact_path.rpartition("/")
        _verify_artifact_file_name(name)
        # A draft's name is short: that of the artifact would be refused at its end only.
        if long := too_long(name, PATH_BYTES):
            raise long
        path = self._path(parent)
        try:
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:
            self._get_or_create_artifact_dir(parent or None)
            folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._refuse_outside(folder)
            return Draft(folder, name)
        except BaseException:
            os.close(folder)
            raise

    async def open(self, artifact_path: str, part: Part | None = None) -> Download:
        """Start to read a file; raise `MlflowException` where there is none, `NoPartError`.

        MLflow's own looks for it on the event loop, as it closes what was uploaded.
        """
        path = clean_file(artifact_path)
        with _naming_errors(self.artifact_dir, path):
            return await asyncio.wrap_future(_threads.submit(self._open, path, part))

    async def facts(self, artifact_path: str) -> Facts:
        """Look at a file; raise `MlflowException` where there is none."""
        path = clean_file(artifact_path)
        with _naming_errors(self.artifact_dir, path):
            return await asyncio.wrap_future(_threads.submit(self._look, path))

    def _look(self, artifact_path: str) -> Facts:
        with self._found(artifact_path) as body:
            return _facts(body.fileno())

    def _open(self, artifact_path: str, part: Part | None) -> Download:
        end = time.monotonic() + REPLACED_SECONDS
        while True:
            try:
                return self._begin(artifact_path, part)
            except OSError as error:
                if error.errno != errno.ESTALE or time.monotonic() > end:
                    raise
            time.sleep(REPLACED_PAUSE_SECONDS)

    def _begin(self, artifact_path: str, part: Part | None) -> Download:
        body = self._found(artifact_path)
        try:
            facts = _facts(body.fileno())
            if part is None:
                return Download(body, facts, _threads)
            found = part.of(facts.size)
            body.seek(found.start)
            return Download(body, facts, _threads, found)
        except BaseException:
            body.close()
            raise

    def _found(self, artifact_path: str) -> FileIO:
        path = self._path(artifact_path)
        try:
            body = path.open("rb", buffering=0)
        except (FileNotFoundError, NotADirectoryError):
            raise MlflowException(
                f"No such artifact: '{artifact_path}'", error_code=RESOURCE_DOES_NOT_EXIST
            ) from None
        except IsADirectoryError:
            raise MlflowException.invalid_parameter_value(
                f"Artifact path refers to a directory, not a file: '{artifact_path}'"
            ) from None
        try:
            self._refuse_outside(body.fileno())
            return body
        except BaseException:
            body.close()
            raise

    def _path(self, artifact_path: str) -> Path:
        if artifact_path.startswith("/"):
            raise MlflowException.invalid_parameter_value(OUTSIDE)
        return Path(os.path.normpath(self.artifact_dir), clean(artifact_path))

    def _refuse_outside(self, descriptor: int) -> None:
        """Raise `MlflowException` if links led to something outside of the store.

        MLflow looks at every step of a path before it is opened, and asks a server for each.
        """
        opened = Path(f"/proc/self/fd/{descriptor}").readlink()
        if not opened.is_relative_to(Path(self.artifact_dir).resolve()):
            raise MlflowException.invalid_parameter_value(OUTSIDE)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder; MLflow's own looks at each file twice."""
        place = self._path(path or "")
        with _naming_errors(self.artifact_dir, path or ""):
            try:
                folder = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
            except (FileNotFoundError, NotADirectoryError):
                return []
            try:
                self._refuse_outside(folder)
                with os.scandir(folder) as entries:
                    infos = list(_infos(entries, place.relative_to(self.artifact_dir)))
            finally:
                os.close(folder)
        return sorted(infos, key=lambda info: str(info.path))

    def get_local_path(self, artifact_path: str) -> str:
        """Return where an artifact is read from."""
        path = clean(artifact_path)
        with _naming_errors(self.artifact_dir, path):
            _look_at(Path(self.artifact_dir, path))
            return str(super().get_local_path(path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove a file, or all below a folder; it does not come back after a power failure."""
        place = self._path(artifact_path or "")
        with _naming_errors(self.artifact_dir, artifact_path or ""):
            super().delete_artifacts(artifact_path)  # type: ignore[no-untyped-call]
            with suppress(FileNotFoundError, NotADirectoryError):
                _synchronise(place.parent)

    def _publish_staged_artifact(
        self,
        temp_file_path: str,
        destination_file_path: str,
        finalize_temp_path: Callable[[str], None] | None = None,
    ) -> None:
        if finalize_temp_path is not None:
            finalize_temp_path(temp_file_path)
        written, place = Path(temp_file_path), Path(destination_file_path)
        _synchronise(written)
        written.replace(place)
        _synchronise(place.parent)


def _joined(folder: str | None, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _facts(descriptor: int) -> Facts:
    found = os.fstat(descriptor)
    # Not the inode: each replica may have a number of its own for a file on NFS.
    tag = f'"{found.st_mtime_ns:x}-{found.st_size:x}"'
    return Facts(found.st_size, tag, datetime.fromtimestamp(found.st_mtime, UTC))


async def blocks(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """Yield what comes in, in larger pieces: each is a thread's turn and a request to a mount."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size >= BLOCK:
            yield b"".join(pieces)
            pieces, size = [], 0
    if pieces:
        yield b"".join(pieces)


def _infos(entries: Iterable[os.DirEntry[str]], folder: Path) -> Iterator[FileInfo]:
    """Yield files and folders, but for drafts and what was removed meanwhile."""
    for entry in entries:
        if entry.name.startswith(_TEMP_ARTIFACT_PREFIX):
            continue
        with suppress(FileNotFoundError):
            is_folder = entry.is_dir()
            size = None if is_folder else entry.stat().st_size
            yield FileInfo(str(folder / entry.name), is_folder, size)


class Draft:
    """A new file under a name of its own, in an open folder, until it is given its own name.

    What is done by name is done in the open folder: behind a mount, each step of a path and each
    look at one is a question to the server.
    """

    def __init__(self, folder: int, name: str) -> None:
        self._folder = folder
        self._name = name
        mark = os.environ.get("NFS_DRAFTS", "")
        self._on_mount = mark != ""
        self._draft = f"{_TEMP_ARTIFACT_PREFIX}{mark}{uuid4().hex}"
        # With its mode, less the umask, from the beginning.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        # With a buffer of given size: otherwise Python asks the mount whether it is a terminal.
        self.file = os.fdopen(os.open(self._draft, flags, 0o666, dir_fd=folder), "wb", BLOCK // 16)
        # A request that is cancelled drops what another thread may just be publishing.
        self._step = Lock()
        self._published = False

    def publish(self, last: bytes) -> None:
        """Write the last of it, have all on stable storage, and give it its name."""
        with self._step:
            self.file.write(last)
            self.file.flush()
            if self._on_mount:
                # An attribute to replace: no other file system takes it for one to keep.
                name = os.fsencode(self._name)
                os.setxattr(self.file.fileno(), MOUNT_NAMES, name, os.XATTR_REPLACE)
                self.file.close()
            else:
                os.fsync(self.file.fileno())
                self.file.close()
                folder = self._folder
                os.replace(self._draft, self._name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
            os.close(self._folder)
            self._published = True

    def drop(self) -> None:
        """Leave nothing of an upload that failed."""
        with self._step:
            if self._published:
                return
            with suppress(OSError):
                self.file.close()
            try:
                with suppress(FileNotFoundError):
                    os.unlink(self._draft, dir_fd=self._folder)
            finally:
                os.close(self._folder)


def _synchronise(path: Path) -> None:
    """Have a file's data, or a folder's names, on stable storage."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _look_at(path: Path) -> None:
    """Raise `OSError` unless the path is there, or certainly not there."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return


@contextmanager
def _naming_errors(folder: Any, path: str) -> Iterator[None]:
    """Turn an error of the file system into an answer that names it."""
    try:
        yield
    except OSError as error:
        if mistake := _mistake(error, path):
            raise mistake from error
        # Without the path: a client knows its artifact's, and not the server's.
        raise MlflowException(f"The artifact store {folder} failed: {error.strerror}") from error


def _mistake(error: OSError, path: str) -> MlflowException | None:
    """Return what is wrong with a client's path, if that is why the file system refused it."""
    if error.errno == errno.ENAMETOOLONG:
        return too_long(path, PATH_BYTES) or refused(f"it is longer than {PATH_BYTES} bytes.")
    if error.errno == errno.EISDIR:
        return refused(f"'{shortened(path)}' is a folder.")
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return refused(f"'{shortened(path)}' is below a file.")
    return None
