"""Files put into a container before it starts."""

import base64
import grp
import io
import pwd
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any

from docker.errors import APIError

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError

SOURCES = ("content", "contentBase64", "source")


def put(api: Any, container: str, uploads: list[Properties], mounts: list[str]) -> None:
    """Put the files in. `mounts` are the container's volume paths.

    A read-only root refuses files, a volume mounted in it takes them: each file goes to the
    innermost mount that holds it.
    """
    for upload in uploads:
        base = _base(upload["file"], mounts)
        try:
            api.put_archive(container, str(base), _archive(upload, base))
        except APIError as problem:
            raise RefusedError(
                f"cannot upload {upload['file']}: {problem.explanation}. Under a read-only root a "
                "file can only go into a volume that is mounted read-write"
            ) from None


def _base(file: str, mounts: list[str]) -> PurePosixPath:
    parents = PurePosixPath(file).parents
    inside = [PurePosixPath(mount) for mount in mounts if PurePosixPath(mount) in parents]
    return max(inside, key=lambda mount: len(mount.parts), default=PurePosixPath("/"))


def _archive(upload: Properties, base: PurePosixPath) -> bytes:
    content = _content(upload)
    entry = tarfile.TarInfo(str(PurePosixPath(upload["file"]).relative_to(base)))
    entry.size = len(content)
    entry.mode = 0o744 if upload.get("executable") else 0o644
    if upload.get("permissions"):
        entry.mode = int(upload["permissions"], 8)
    entry.uid = _owner(upload.get("owner"))
    entry.gid = _group(upload.get("group"))
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _content(upload: Properties) -> bytes:
    if upload.get("content") is not None:
        return str(upload["content"]).encode()
    if upload.get("contentBase64") is not None:
        return base64.b64decode(upload["contentBase64"])
    try:
        return Path(upload["source"]).read_bytes()
    except OSError as problem:
        raise RefusedError(f"cannot read the upload's source: {problem}") from None


def _owner(name: str | None) -> int:
    """The user's number: as given, or by this machine's user database, as the official one."""
    if not name or name.isdecimal():
        return int(name or 0)
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        raise RefusedError(f"upload owner '{name}' is no user here: give a number") from None


def _group(name: str | None) -> int:
    if not name or name.isdecimal():
        return int(name or 0)
    try:
        return grp.getgrnam(name).gr_gid
    except KeyError:
        raise RefusedError(f"upload group '{name}' is no group here: give a number") from None
