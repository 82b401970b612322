"""The artifact store as a server in this image reaches it."""

import os

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]

from .messages import FailureError

# The server's own: https://mlflow.org/docs/latest/self-hosting/architecture/artifact-store
_ENDPOINT = "MLFLOW_S3_ENDPOINT_URL"


def check(destination: str) -> None:
    """List one object of a bucket; a folder is mounted with the server and not looked at.

    Raises FailureError when the bucket does not answer here, though it may do so elsewhere.
    """
    scheme, _, place = destination.partition("://")
    if scheme != "s3":
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
