"""A folder as an artifact store: a volume, or a mounted NFS export.

MLflow's own repository writes an artifact beside its place and renames it, so that no reader sees
half of one. This class adds that the artifact is on stable storage by then, and that a store that
cannot be written or read says so in its answer: MLflow has only `Internal Server Error` for that,
and an empty list for a folder that it cannot read. It takes the place of MLflow's own for `file`.
"""

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO
from uuid import uuid4

from mlflow.entities import FileInfo
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST
from mlflow.store.artifact.local_artifact_repo import (
    _TEMP_ARTIFACT_PREFIX,
    LocalArtifactRepository,
)
from mlflow.utils.uri import validate_path_within_directory

from .download import Download

BLOCK = 2**20
"""Bytes that are written at once, at least: as much as a mount passes on in one request."""

_threads = ThreadPoolExecutor(16, thread_name_prefix="folder")
"""Wait for the store when artifacts are read; those that serve the API are others."""


class FolderRepository(LocalArtifactRepository):
    """MLflow's repository of a folder, with stable storage and answers that name the cause."""

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store one file."""
        with _told(self.artifact_dir):
            super().log_artifact(local_file, artifact_path)  # type: ignore[no-untyped-call]

    def log_artifact_from_stream(
        self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Store what a stream has."""
        with _told(self.artifact_dir):
            super().log_artifact_from_stream(stream, artifact_file_name, artifact_path)

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
        with _told(self.artifact_dir):
            descriptor, draft, place = await asyncio.to_thread(
                self._create_staging_artifact, artifact_file_name, artifact_path
            )
            file = os.fdopen(descriptor, "wb")
            try:
                async for block in blocks(chunks):
                    await asyncio.to_thread(file.write, block)
                await asyncio.to_thread(_publish, file, draft, place)
            except BaseException:
                await asyncio.to_thread(_drop, file, draft)
                raise

    def _create_staging_artifact(
        self, artifact_file_name: str, artifact_path: str | None = None
    ) -> tuple[int, str, str]:
        """Have its mode from the beginning: MLflow sets it later, one more request to a server."""
        folder, place = self._get_destination_artifact_path(artifact_file_name, artifact_path)
        draft = Path(folder, f"{_TEMP_ARTIFACT_PREFIX}{uuid4().hex}")
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask
        return descriptor, str(draft), place

    async def open(self, artifact_path: str) -> Download:
        """Start to read a file; raise `MlflowException` where there is none.

        MLflow's own looks for it on the event loop, as it closes what was uploaded.
        """
        with _told(self.artifact_dir):
            return await asyncio.wrap_future(_threads.submit(self._open, artifact_path))

    def _open(self, artifact_path: str) -> Download:
        path = os.path.normpath(os.path.join(self.artifact_dir, artifact_path))  # noqa: PTH118
        validate_path_within_directory(self.artifact_dir, path)
        try:
            body = Path(path).open("rb", buffering=0)  # noqa: SIM115
        except (FileNotFoundError, NotADirectoryError):
            raise MlflowException(
                f"No such artifact: '{artifact_path}'", error_code=RESOURCE_DOES_NOT_EXIST
            ) from None
        except IsADirectoryError:
            raise MlflowException.invalid_parameter_value(
                f"Artifact path refers to a directory, not a file: '{artifact_path}'"
            ) from None
        return Download(body, os.fstat(body.fileno()).st_size, _threads)

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder."""
        with _told(self.artifact_dir):
            _look_at(Path(self.artifact_dir, path or ""))
            return list(super().list_artifacts(path))  # type: ignore[no-untyped-call]

    def get_local_path(self, artifact_path: str) -> str:
        """Return where an artifact is read from."""
        with _told(self.artifact_dir):
            _look_at(Path(self.artifact_dir, artifact_path))
            return str(super().get_local_path(artifact_path))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove a file, or all below a folder."""
        with _told(self.artifact_dir):
            super().delete_artifacts(artifact_path)  # type: ignore[no-untyped-call]

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


def _publish(file: BinaryIO, draft: str, place: str) -> None:
    """Have what was written on stable storage, and give it its name."""
    file.flush()
    os.fsync(file.fileno())
    file.close()
    Path(draft).replace(place)
    _synchronise(Path(place).parent)


def _drop(file: BinaryIO, draft: str) -> None:
    """Leave nothing of an upload that failed."""
    with suppress(OSError):
        file.close()
    Path(draft).unlink(missing_ok=True)


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
def _told(folder: Any) -> Iterator[None]:
    """Turn an error of the file system into an answer that names it."""
    try:
        yield
    except OSError as error:
        # Without the path: a client knows its artifact's, and not the server's.
        raise MlflowException(f"The artifact store {folder} failed: {error.strerror}") from error
