"""What a backup holds: the last member of its tar file."""

import contextlib
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from scripts.archive import RefusedError

MANIFEST = "manifest.json"
DATABASE = "database.dump"
KEYS = "keys.json"
"""Keys that the stack encrypts by, by the names of their files; not in each backup."""
ARTIFACTS = "artifacts/"
BLOCK = 1 << 20


class Manifest(BaseModel):
    """Versions, the moment, and a checksum of every member."""

    model_config = ConfigDict(extra="forbid")

    format: int = Field(default=1, ge=1, le=1)
    stack: str
    moment: str = Field(description="UTC; everything acknowledged before it is in the backup.")
    moment_ns: int = Field(description="The same in ns of the Unix clock.")
    mlflow_version: str
    postgres_version: str
    schema_revision: str = Field(description="MLflow's, as its migrations name it.")
    artifacts: str = Field(description="Kind of the artifact store: `volume`, `s3` or `nfs`.")
    workspaces: bool = Field(
        default=False, description="Whether anything is in another than MLflow's default workspace."
    )
    deleted: list[str] = Field(
        default=[], description="Artifacts of the moment that were deleted before they were copied."
    )
    sha256: dict[str, str] = Field(default={}, description="By name of the member.")

    @property
    def stored(self) -> int:
        """The number of artifacts."""
        return sum(name.startswith(ARTIFACTS) for name in self.sha256)


class Writer:
    """Writes a tar file whose members' checksums end up in its manifest."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._manifest = manifest
        self._file = os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)  # noqa: SIM115

    def add(self, name: str, content: IO[bytes], sha256: str) -> None:
        """Add what a file has from its begin to its end, with its checksum."""
        self._manifest.sha256[name] = sha256
        self._append(name, content)

    def _append(self, name: str, content: IO[bytes]) -> None:
        member = tarfile.TarInfo(name)
        member.size = content.seek(0, io.SEEK_END)
        member.mtime = self._manifest.moment_ns // 10**9
        content.seek(0)
        self._tar.addfile(member, content)

    def abandon(self) -> None:
        """Let go of a file that is to be removed, also where the disk is full."""
        with contextlib.suppress(OSError):
            self._file.close()

    def close(self) -> None:
        """Write the manifest, and end the file."""
        text = self._manifest.model_dump_json(indent=2).encode()
        self._append(MANIFEST, io.BytesIO(text))
        self._tar.close()
        self._file.close()


def read(path: Path) -> Manifest:
    """Return the manifest of a backup in which every member is as it was written.

    Raises `RefusedError` if the file is no backup, or is damaged.
    """
    checksums: dict[str, str] = {}
    text = b""
    try:
        for name, content in members(path):
            if name == MANIFEST:
                text = content.read()
            else:
                checksums[name] = checksum(content)
        manifest = Manifest.model_validate_json(text)
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror or error}") from None
    except tarfile.TarError as error:
        raise RefusedError(f"{path}: is no whole backup ({error}); take another") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or MANIFEST
        raise RefusedError(f"{path}: is no whole backup ({where}: {first['msg']})") from None
    wrong = [
        name
        for name in sorted({*checksums, *manifest.sha256} - {MANIFEST})
        if checksums.get(name) != manifest.sha256.get(name)
    ]
    if wrong:
        raise RefusedError(
            f"{path}: {len(wrong)} of {len(manifest.sha256)} members are not as they were "
            f"written, {wrong[0]} is the first; take another backup"
        )
    return manifest


def members(path: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name and content of each member; a content is to be read before the next one."""
    with tarfile.open(path, "r:") as tar:
        for member in tar:
            content = tar.extractfile(member)
            if content is not None:
                yield member.name, content


def checksum(content: IO[bytes]) -> str:
    """Return the SHA-256 of what is left of a file."""
    digest = hashlib.sha256()
    while block := content.read(BLOCK):
        digest.update(block)
    return digest.hexdigest()
