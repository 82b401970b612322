"""Checks an S3 bucket as an artifact store, before anything is deployed on it."""

import contextlib
import secrets
import uuid
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Any

import boto3  # type: ignore[import-untyped]
import botocore.session  # type: ignore[import-untyped]
from botocore import UNSIGNED
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.credentials import InstanceMetadataProvider  # type: ignore[import-untyped]
from botocore.exceptions import (  # type: ignore[import-untyped]
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    NoCredentialsError,
    ParamValidationError,
    PartialCredentialsError,
    ProxyConnectionError,
    ReadTimeoutError,
    SSLError,
)
from botocore.parsers import ResponseParserError  # type: ignore[import-untyped]
from pydantic import SecretStr

from infra.specification.external import DEFAULT_REGION, ExternalS3


class S3Error(ValueError):
    """The bucket cannot be used as it is described; the message is one line."""


class UnreachedError(S3Error):
    """This machine cannot connect to the endpoint."""


class _Step(StrEnum):
    """What an artifact store is used for, with the permission that it takes."""

    WRITE = "s3:PutObject"
    READ = "s3:GetObject"
    LIST = "s3:ListBucket"
    DELETE = "s3:DeleteObject"


_CREDENTIALS = "correct the access key and the secret key of the stack"

# By the error code that S3 answers with; a HEAD has a status instead of a code.
_REASONS = {
    "NoSuchBucket": "there is no such bucket; create it or correct the name",
    "InvalidBucketName": "is not a name that a bucket can have; correct it",
    "InvalidAccessKeyId": f"the access key is not known there; {_CREDENTIALS}",
    "SignatureDoesNotMatch": f"the secret key is not that of the access key; {_CREDENTIALS}",
    "InvalidToken": f"the session token is not valid; {_CREDENTIALS}",
    "InvalidTokenId": f"the session token is not valid; {_CREDENTIALS}",
    "ExpiredToken": "the temporary credentials have expired; get new ones",
    "SlowDown": "it refuses requests for now because there are too many; try again",
}
_WRONG_REGION = {
    "301",
    "AuthorizationHeaderMalformed",
    "IllegalLocationConstraintException",
    "InvalidRegion",
    "PermanentRedirect",
    "TemporaryRedirect",
}
_DENIED = {"403", "AccessDenied", "AccountProblem", "AllAccessDisabled", "Forbidden"}


def check(bucket: ExternalS3) -> None:
    """Write, read, list and delete one small object of a random name.

    What is left in a bucket with versioning, where the credentials may not remove versions, is a
    version of 32 bytes behind a delete marker.

    Raises S3Error with one line that says what is wrong, where, and what to do; it never contains
    the secret key. It is an UnreachedError if there was no connection.
    """
    with contextlib.closing(_client(bucket)) as client:
        _check_region(client, bucket)
        _check_object(client, bucket)


def check_unsigned(bucket: ExternalS3) -> None:
    """Check that the bucket exists in its region, which needs no credentials.

    For servers whose role this machine does not have. Raises as `check` does.
    """
    with contextlib.closing(_client(bucket, UNSIGNED)) as client:
        if _check_region(client, bucket) == HTTPStatus.NOT_FOUND:
            raise S3Error(f"{_named(bucket)}: {_REASONS['NoSuchBucket']}")


def _named(bucket: ExternalS3) -> str:
    return f"bucket {bucket.bucket!r} at {bucket.endpoint or f'AWS S3 in {bucket.region}'}"


def _region(bucket: ExternalS3) -> str:
    return bucket.region or DEFAULT_REGION


def _plain(secret: SecretStr | None) -> str | None:
    return secret.get_secret_value() if secret else None


def _client(bucket: ExternalS3, signature: Any = None) -> Any:
    try:
        return _new_client(bucket, signature)
    except (BotoCoreError, ValueError) as error:
        raise S3Error(
            f"{_named(bucket)}: {_one_line(error)}; write the endpoint as http[s]://host[:port]"
        ) from None


def _new_client(bucket: ExternalS3, signature: Any) -> Any:
    return _session(bucket).client(
        "s3",
        endpoint_url=bucket.endpoint,
        region_name=_region(bucket),
        aws_access_key_id=bucket.access_key,
        aws_secret_access_key=_plain(bucket.secret_key),
        aws_session_token=_plain(bucket.session_token),
        verify=str(bucket.ca) if bucket.ca else None,
        config=Config(
            signature_version=signature,
            connect_timeout=5,
            read_timeout=20,
            retries={"mode": "standard", "total_max_attempts": 2},
            ignore_configured_endpoint_urls=True,
        ),
    )


def _session(bucket: ExternalS3) -> Any:
    core = botocore.session.Session()
    if bucket.access_key is None:
        # A server has the machine's role too, but not this person's environment and files.
        resolver = core.get_component("credential_provider")
        for provider in list(resolver.providers):
            if provider.METHOD != InstanceMetadataProvider.METHOD:
                resolver.remove(provider.METHOD)
    return boto3.session.Session(botocore_session=core)


def _check_region(client: Any, bucket: ExternalS3) -> int:
    """Compare the region: boto3 follows a redirect to the right one, presigned URLs do not.

    Returns the status of the answer.
    """
    try:
        answer = client.head_bucket(Bucket=bucket.bucket)
    except ClientError as error:
        # It need not be allowed: a refusal names the region, too.
        answer = error.response
    except (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError) as error:
        raise UnreachedError(f"{_named(bucket)}: {_failure(error)}") from None
    except (BotoCoreError, ResponseParserError) as error:
        raise S3Error(f"{_named(bucket)}: {_failure(error)}") from None
    region = _region(bucket)
    metadata = answer.get("ResponseMetadata", {})
    actual = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region", region)
    if actual != region:
        raise S3Error(f"{_named(bucket)}: is in region {actual!r}, not {region!r}; correct it")
    return int(metadata.get("HTTPStatusCode", 0))


def _check_object(client: Any, bucket: ExternalS3) -> None:
    name = _named(bucket)
    folder = f"{bucket.prefix}/" if bucket.prefix else ""
    where = {"Bucket": bucket.bucket, "Key": f"{folder}mlflow-bench-check-{uuid.uuid4().hex}"}
    content = secrets.token_bytes(32)
    step = _Step.WRITE
    written = None
    try:
        written = client.put_object(**where, Body=content)
        step = _Step.READ
        returned = client.get_object(**where)["Body"].read()
        if returned != content:
            raise S3Error(f"{name}: reading returns other bytes than were written; do not use it")
        step = _Step.LIST
        listing = client.list_objects_v2(Bucket=bucket.bucket, Prefix=where["Key"])
        if listing["KeyCount"] != 1:
            raise S3Error(f"{name}: a list lacks an object that was written; do not use it")
        step = _Step.DELETE
        deleted = client.delete_object(**where)
        # Without versioning there is nothing left to remove.
        with contextlib.suppress(ClientError):
            for answer in (written, deleted):
                if version := answer.get("VersionId"):
                    client.delete_object(**where, VersionId=version)
    except (BotoCoreError, ClientError, ResponseParserError) as error:
        reason = _refusal(error, bucket, step) if hasattr(error, "response") else _failure(error)
        raise S3Error(f"{name}: {reason}") from None
    finally:
        if written and step is not _Step.DELETE:
            with contextlib.suppress(BotoCoreError, ClientError):
                client.delete_object(**where)


def _refusal(error: Any, bucket: ExternalS3, step: _Step) -> str:
    """Return the meaning of an error answer."""
    details = error.response.get("Error", {})
    code = str(details.get("Code", ""))
    if code in _DENIED:
        return (
            f"{step.name.lower()} is denied; grant {step} to these credentials, or correct the name"
        )
    if code in _WRONG_REGION:
        actual = details.get("Region")
        known = f"is in region {actual!r}" if actual else "is in another region"
        return f"{known}, not {_region(bucket)!r}; correct it"
    if code == "RequestTimeTooSkewed":
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return f"its clock and this machine's ({now}) are too far apart; set the time right"
    if reason := _REASONS.get(code):
        return reason
    if code.isdecimal():
        return f"answers a {step.name.lower()} with HTTP {code}, unlike S3; correct the endpoint"
    return f"refuses a {step.name.lower()}: {code}: {_one_line(details.get('Message', ''))}"


def _failure(error: Exception) -> str:
    """Return why there was no answer."""
    match error:
        case SSLError() if "WRONG_VERSION_NUMBER" in str(error):
            return "speaks no TLS; write the endpoint with http://"
        case SSLError() if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return (
                "its TLS certificate is not trusted here: "
                f"{_cause(error)}; give its authority's in artifacts.ca"
            )
        case SSLError():
            return f"TLS fails: {_cause(error)}; check the endpoint"
        case ConnectTimeoutError():
            return "no connection in 5 s; is the endpoint right, and no firewall between?"
        case EndpointConnectionError():
            return f"cannot be reached: {_cause(error)}; is it running, and the endpoint right?"
        case ReadTimeoutError():
            return "no answer in 20 s; is it overloaded or frozen?"
        case ConnectionClosedError() | ResponseParserError():
            return "does not answer as S3 does; correct the endpoint (http or https? the port?)"
        case NoCredentialsError() | CredentialRetrievalError() | PartialCredentialsError():
            return "no credentials; give keys, or deploy where a role provides them"
        case ParamValidationError():
            return _REASONS["InvalidBucketName"]
        case _:
            return f"{_one_line(error)}; check the endpoint and the bucket's name"


def _cause(error: Exception) -> str:
    """Return the system's own words, from the bottom of a chain of wrapped errors."""
    cause: Any = getattr(error, "kwargs", {}).get("error", error)
    while inner := getattr(cause, "reason", None) or cause.__cause__ or cause.__context__:
        if isinstance(inner, str):
            break
        cause = inner
    return str(getattr(cause, "verify_message", None) or getattr(cause, "strerror", None) or cause)


def _one_line(text: object) -> str:
    return " ".join(str(text).split())
