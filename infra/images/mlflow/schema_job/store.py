"""The artifact store as a server in this image reaches it."""

import os
import tempfile
from pathlib import Path

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from .messages import FailureError

# The server's own: https://mlflow.org/docs/latest/self-hosting/architecture/artifact-store
_ENDPOINT = "MLFLOW_S3_ENDPOINT_URL"


def check(destination: str) -> None:
    """List one object of a bucket, or write to a folder if one is mounted here.

    Raises FailureError when the store cannot be used here, though it may be elsewhere.
    """
    scheme, _, place = destination.partition("://")
    if scheme != "s3":
        folder = Path(destination.removeprefix("file://"))
        if folder.is_mount():
            _write(folder)
        return
    bucket, _, prefix = place.partition("/")
    endpoint = os.environ.get(_ENDPOINT)
    try:
        boto3.client(
            "s3",
            endpoint_url=endpoint,
            config=Config(
                connect_timeout=5,
                read_timeout=20,
                retries={"mode": "standard", "total_max_attempts": 2},
            ),
        ).list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise FailureError(
            f"the artifact store {destination} at {endpoint or 'AWS S3'} cannot be used from "
            f"inside the stack: {error}"
        ) from error


def _write(folder: Path) -> None:
    """Write, name and read a file as MLflow does with an artifact, and remove it."""
    content = os.urandom(1000)
    try:
        with tempfile.TemporaryDirectory(prefix=".check-", dir=folder) as name:
            written, named = Path(name, "written"), Path(name, "named")
            written.write_bytes(content)
            written.rename(named)
            read = named.read_bytes()
    except OSError as error:
        raise FailureError(
            f"the artifact store {folder} cannot be written to by uid {os.getuid()} from inside "
            f"the stack: {error.strerror}"
        ) from error
    if read != content:
        raise FailureError(f"the artifact store {folder} does not return what is written to it")
