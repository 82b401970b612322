"""Files put into a container before it starts."""

import base64
import io
import tarfile
from pathlib import Path
from typing import Any

from docker.errors import APIError

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError

SOURCES = ("content", "contentBase64", "source")


def put(api: Any, container: str, uploads: list[Properties]) -> None:
    """Put the files in: each is extracted at the root, as by the official plugin."""
    for upload in uploads:
        try:
            api.put_archive(container, "/", _archive(upload))
        except APIError as problem:
            raise RefusedError(f"cannot upload {upload['file']}: {problem.explanation}") from None


def _archive(upload: Properties) -> bytes:
    content = _content(upload)
    entry = tarfile.TarInfo(upload["file"].lstrip("/"))
    entry.size = len(content)
    entry.mode = 0o744 if upload.get("executable") else 0o644
    if upload.get("permissions"):
        entry.mode = int(upload["permissions"], 8)
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
