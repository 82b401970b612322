"""Names in S3 that hide each other: a file, and a folder of the same name.

S3 keeps both. MinIO lists only the file then, as if all below the folder were gone, and a client
that downloads both has no place for one of them. File systems refuse the second; so does this.
Of two that are stored at the same moment, neither sees the other.
"""

# mypy: allow-untyped-calls

from collections.abc import Iterator, Mapping
from typing import Any

from botocore.exceptions import ClientError  # type: ignore[import-untyped]

from .paths import refused, shortened

ROOT = "artifacts"
"""Name of the folder below which a run, a model or a trace has what its user names."""

REMEMBERED = 20_000
"""Folders that are not looked at again; they take a few MiB."""


class Shadows:
    """Looks for names that a new one would hide, or that would hide it."""

    def __init__(self) -> None:
        self._folders: set[tuple[str, str]] = set()

    def refuse(self, client: Any, place: Mapping[str, str], artifact_path: str) -> None:
        """Raise `MlflowException` if there is a folder of that name, or a file above it."""
        shown = shortened(artifact_path)
        below = {**place, "Prefix": f"{place['Key']}/"}
        del below["Key"]
        if client.list_objects_v2(**below, MaxKeys=1).get("KeyCount"):
            raise refused(f"'{shown}' is a folder.")
        new = [
            folder
            for folder in _folders_above(place["Key"])
            if (place["Bucket"], folder) not in self._folders
        ]
        for folder in new:
            if _is_file(client, {**place, "Key": folder}):
                raise refused(f"'{shown}' is below a file.")
        if len(self._folders) + len(new) > REMEMBERED:
            self._folders.clear()
        self._folders.update((place["Bucket"], folder) for folder in new)


def _folders_above(key: str) -> Iterator[str]:
    names = key.split("/")[:-1]
    first = len(names) - names[::-1].index(ROOT) if ROOT in names else 0
    for end in range(first + 1, len(names) + 1):
        yield "/".join(names[:end])


def _is_file(client: Any, place: Mapping[str, str]) -> bool:
    try:
        client.head_object(**place)
    except ClientError as error:
        if error.response["Error"]["Code"] == "404":
            return False
        raise
    return True
