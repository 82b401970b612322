"""Paths of artifacts as clients name them, and what both stores make of them.

MLflow refuses `..` between slashes, and hands on what else it is given: an S3 key then differs from
the path by which it is listed, a folder is listed with an error of the server, and MinIO takes
`..` beside a backslash for a step upwards.
"""

# mypy: allow-untyped-calls

from mlflow.exceptions import MlflowException

NAME_BYTES = 255
"""Most bytes of one name between slashes: of Linux's file systems, NFS, and MinIO."""

PATH_BYTES = 4095
"""Most bytes of a path on Linux, with the store's own folder."""

KEY_BYTES = 1024
"""Most bytes of a path in S3, with the store's own prefix."""

SHOWN = 40
"""Characters of a name that a message repeats."""


def clean(path: str) -> str:
    """Return a path as it is listed: without empty names and `.`; raise for one with `..`."""
    names = [name for name in path.split("/") if name not in ("", ".")]
    for name in names:
        if ".." in name.split("\\"):
            raise refused(f"'{shortened(path)}' has a step upwards.")
    return "/".join(names)


def clean_file(path: str) -> str:
    """Return the path of a file; raise for one that names a folder by its end."""
    if path.rpartition("/")[2] in ("", "."):
        raise refused(f"'{shortened(path)}' names a folder, not a file.")
    return clean(path)


def shortened(path: str) -> str:
    """Return what a message says of a path."""
    return path if len(path) <= SHOWN else f"{path[:SHOWN]}…"


def refused(why: str) -> MlflowException:
    """Return what is answered to a path that cannot be: 400."""
    error: MlflowException = MlflowException.invalid_parameter_value(
        f"Invalid artifact path: {why}"
    )
    return error


def too_long(path: str, most: int) -> MlflowException | None:
    """Return what is wrong with the length of a path or of a name in it, if anything."""
    for name in path.split("/"):
        if (size := len(name.encode())) > NAME_BYTES:
            return refused(
                f"the name '{shortened(name)}' has {size} bytes,"
                f" and the artifact store takes {NAME_BYTES}."
            )
    if (size := len(path.encode())) > most:
        return refused(f"it has {size} bytes, and the artifact store takes {most}.")
    return None
