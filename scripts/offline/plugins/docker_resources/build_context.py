"""The digest of a build context: equal digests mean that nothing the builder sees has changed."""

import hashlib
import os
import stat
from pathlib import Path

from docker.utils.build import exclude_paths


def digest(context: Path, dockerfile: Path) -> str:
    """SHA-256 over names, modes and contents of what `.dockerignore` lets through, in order.

    Modification times do not count: the builder's cache ignores them too.
    """
    inside = dockerfile.is_relative_to(context)
    name = str(dockerfile.relative_to(context)) if inside else None
    total = hashlib.sha256()
    for relative in sorted(exclude_paths(str(context), _ignored(context), dockerfile=name)):
        _add(total, relative, context / relative)
    if not inside:
        _add(total, "", dockerfile)
    return total.hexdigest()


def _ignored(context: Path) -> list[str]:
    file = context / ".dockerignore"
    if not file.is_file():
        return []
    lines = (line.strip() for line in file.read_text().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


def _add(total: "hashlib._Hash", name: str, path: Path) -> None:
    mode = path.lstat().st_mode
    total.update(f"{name}\0{mode:o}\0".encode())
    if stat.S_ISLNK(mode):
        total.update(os.fsencode(path.readlink()))
    elif stat.S_ISREG(mode):
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
