"""Artifacts of one thing, a folder of the artifact store, and their removal with all traces.

MLflow's own removal leaves the empty folders above a run's artifacts, and the parts of uploads that
were never finished.
"""

# mypy: allow-untyped-calls

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import urlsplit

from botocore.exceptions import ClientError  # type: ignore[import-untyped]
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository


@dataclass
class Content:
    """What is in a folder, or was."""

    objects: int = 0
    size: int = 0
    """Bytes."""
    uploads: int = 0
    """Begun and never finished, of S3."""
    folders: int = 0
    """Without a file, of a file system."""

    def add(self, other: "Content") -> None:
        """Count what another folder has, too."""
        self.objects += other.objects
        self.size += other.size
        self.uploads += other.uploads
        self.folders += other.folders


class Place(Protocol):
    """The artifact store; paths are folders in it, `a/b`, never the store itself."""

    def content(self, path: PurePosixPath) -> Content:
        """Return what is in a folder and all below it."""

    def folders(self, path: PurePosixPath) -> Iterator[str]:
        """Yield the names of the folders directly in a folder, empty ones too."""

    def remove(self, path: PurePosixPath) -> Content:
        """Remove a folder with all that is in it; return what that was."""

    def look_again(self) -> str | None:
        """See what has come meanwhile; return a line of what cannot be seen."""


def place(destination: str) -> Place:
    """Return the artifact store at a URI as the servers have it."""
    parts = urlsplit(destination)
    repository: Any = get_artifact_repository(destination)  # the server's own
    if parts.scheme == "s3":
        client = repository._s3._get_s3_client()
        return Bucket(client, parts.netloc, PurePosixPath(parts.path.strip("/")))
    return Folder(Path(parts.path), repository)


class Folder:
    """A volume, or a mounted export."""

    def __init__(self, root: Path, repository: Any) -> None:
        self._root = root
        self._repository = repository

    def content(self, path: PurePosixPath) -> Content:
        """Count files, drafts of uploads too, and folders that have none."""
        found = Content()
        for folder, folders, files in os.walk(self._root / path):
            found.objects += len(files)
            found.size += sum(Path(folder, name).lstat().st_size for name in files)
            found.folders += not folders and not files
        return found

    def folders(self, path: PurePosixPath) -> Iterator[str]:
        """List it."""
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(self._root / path) as all_:
            yield from (each.name for each in all_ if each.is_dir())

    def look_again(self) -> None:
        """It is looked at each time."""

    def remove(self, path: PurePosixPath) -> Content:
        """Remove it, and each folder above it that is empty then."""
        found = self.content(path)
        if (self._root / path).is_dir():
            self._repository.delete_artifacts(str(path))
        for above in path.parents[:-1]:
            try:
                (self._root / above).rmdir()
            except FileNotFoundError:
                continue
            except OSError:  # it has something
                break
            found.folders += 1
        return found


class Bucket:
    """A bucket of S3, or a folder in it; folders are names that begin alike."""

    def __init__(self, client: Any, bucket: str, prefix: PurePosixPath) -> None:
        self._client = client
        self._bucket = bucket
        self._prefix = prefix
        self._unfinished: list[dict[str, Any]] = []

    def look_again(self) -> str | None:
        """List unfinished uploads: all of the bucket, as MinIO lists those of no folder."""
        pages = self._client.get_paginator("list_multipart_uploads")
        try:
            self._unfinished = [
                upload
                for page in pages.paginate(Bucket=self._bucket)
                for upload in page.get("Uploads", [])
            ]
        except ClientError as error:
            self._unfinished = []
            return f"unfinished uploads were not looked for: {error}"
        return None

    def content(self, path: PurePosixPath) -> Content:
        """Count objects and unfinished uploads."""
        found = Content()
        for page in self._objects(path):
            found.objects += len(page)
            found.size += sum(each["Size"] for each in page)
        found.uploads = len(self._uploads(path))
        return found

    def folders(self, path: PurePosixPath) -> Iterator[str]:
        """List beginnings of names."""
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._below(path), Delimiter="/"):
            for each in page.get("CommonPrefixes", ()):
                yield PurePosixPath(each["Prefix"]).name

    def remove(self, path: PurePosixPath) -> Content:
        """Remove objects, and the parts of unfinished uploads."""
        found = Content()
        for page in self._objects(path):
            keys = [{"Key": each["Key"]} for each in page]
            answer = self._client.delete_objects(
                Bucket=self._bucket, Delete={"Objects": keys, "Quiet": True}
            )
            if errors := answer.get("Errors"):
                first = errors[0]
                raise OSError(f"{first['Key']}: {first.get('Message') or first.get('Code')}")
            found.objects += len(page)
            found.size += sum(each["Size"] for each in page)
        for upload in self._uploads(path):
            with suppress(self._client.exceptions.NoSuchUpload):
                self._client.abort_multipart_upload(
                    Bucket=self._bucket, Key=upload["Key"], UploadId=upload["UploadId"]
                )
                found.uploads += 1
            self._unfinished.remove(upload)
        return found

    def _objects(self, path: PurePosixPath) -> Iterator[list[dict[str, Any]]]:
        pages = self._client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=self._bucket, Prefix=self._below(path)):
            if objects := page.get("Contents"):
                yield objects

    def _uploads(self, path: PurePosixPath) -> list[dict[str, Any]]:
        below = self._below(path)
        return [each for each in self._unfinished if each["Key"].startswith(below)]

    def _below(self, path: PurePosixPath) -> str:
        # With its end: those of run `1a` are not those of `1ab`.
        return f"{self._prefix / path}/"
