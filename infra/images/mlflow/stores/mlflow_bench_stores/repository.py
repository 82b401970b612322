"""S3 as the tracking server's artifact store, in place of MLflow's own class for `s3`.

MLflow 3.17 keeps a whole upload in a temporary file before it stores it, and a whole download
before it answers. Here both pass through. And MLflow sends clients to S3 by presigned URL whenever
its class can make one; a client that cannot reach the store's address, as outside a private
network, then tries each file for minutes and fails. Here that is done only where the deployment
names an address that clients reach.
"""

# mypy: allow-untyped-calls

import asyncio
import logging
import mimetypes
import os
import posixpath
from collections.abc import AsyncIterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]
from mlflow.entities import FileInfo
from mlflow.entities.multipart_upload import CreateMultipartUploadResponse, MultipartUploadPart
from mlflow.entities.presigned_download import PresignedDownloadUrlResponse
from mlflow.environment_variables import (
    MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE,
    MLFLOW_S3_ENDPOINT_URL,
    MLFLOW_S3_IGNORE_TLS,
)
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from mlflow.store.artifact.artifact_repo import (
    ArtifactRepository,
    MultipartDownloadMixin,
    MultipartUploadMixin,
    StreamUploadMixin,
)
from mlflow.store.artifact.s3_artifact_repo import BOTO_TO_MLFLOW_ERROR, S3ArtifactRepository

from .download import CHUNK, Download
from .paths import KEY_BYTES, clean, clean_file, refused, shortened, too_long
from .ranges import Facts, NoPartError, Part
from .shadows import Shadows
from .upload import Upload

PRESIGNED_ENDPOINT = "MLFLOW_BENCH_PRESIGNED_ENDPOINT"
"""Names the store's address as clients reach it; without it they are sent to no other address."""

CONNECTIONS = 16

CONNECT_SECONDS = 5
"""A store that runs accepts at once; one that is gone without a word is asked again sooner."""

_threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="s3")
"""Wait for S3. Apart from the threads that serve the API, which a frozen store leaves alone."""

NOT_TAKEN = {
    "400",  # of HEAD, whose answer has no code
    "InvalidArgument",
    "InvalidURI",
    "KeyTooLongError",
    "XMinioInvalidObjectName",
    "XMinioInvalidResourceName",
}
"""S3's codes for a name that it does not take; which names those are is each store's own matter."""

_shadows = Shadows()

_log = logging.getLogger(__name__)


@cache
def _client(endpoint: str | None) -> Any:
    """Return a client that signs no content; a checksum, which is signed, goes with each."""
    return boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        verify=False if MLFLOW_S3_IGNORE_TLS.get() else None,
        config=Config(
            signature_version="s3v4",
            max_pool_connections=CONNECTIONS,
            connect_timeout=CONNECT_SECONDS,
            tcp_keepalive=True,
            s3={
                "addressing_style": MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE.get(),
                "payload_signing_enabled": False,
            },
        ),
    )


class _Signing:
    """A client that signs URLs for the clients' address of the store, and asks it at its own.

    The signature covers the address.
    """

    def __init__(self, own: Any, clients: Any) -> None:
        self._own = own
        self.generate_presigned_url = clients.generate_presigned_url

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)


class _Store(S3ArtifactRepository):
    """MLflow's own class with our client."""

    def _get_s3_client(self) -> Any:
        own = _client(MLFLOW_S3_ENDPOINT_URL.get())
        clients = os.environ.get(PRESIGNED_ENDPOINT)
        return _Signing(own, _client(clients)) if clients else own


class ProxiedS3Repository(ArtifactRepository, StreamUploadMixin):
    """An S3 store that clients use through the server alone."""

    def __init__(
        self, artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
    ) -> None:
        super().__init__(artifact_uri, tracking_uri, registry_uri)
        self._s3: Any = _Store(artifact_uri, tracking_uri=tracking_uri, registry_uri=registry_uri)

    def log_artifact(self, local_file: str, artifact_path: str | None = None) -> None:
        """Store one file."""
        with Path(local_file).open("rb") as file:
            self.log_artifact_from_stream(file, Path(local_file).name, artifact_path)

    def log_artifacts(self, local_dir: str, artifact_path: str | None = None) -> None:
        """Store all files of a folder."""
        self._s3.log_artifacts(local_dir, artifact_path)

    def log_artifact_from_stream(
        self, stream: BinaryIO, artifact_file_name: str, artifact_path: str | None = None
    ) -> None:
        """Store what a stream holds."""
        path = clean_file(posixpath.join(artifact_path or "", artifact_file_name))
        with _naming_errors(path):
            upload = self._upload(path)
            checked = self._check(path)
            try:
                while chunk := stream.read(CHUNK):
                    if (before := upload.add(chunk)) is not None:
                        before.result()
                checked.result()
                upload.finish().result()
            except BaseException as error:
                _abort(upload, error)
                raise

    async def log_artifact_from_async_stream(
        self,
        chunks: AsyncIterable[bytes],
        artifact_file_name: str,
        artifact_path: str | None = None,
    ) -> None:
        """Store what comes in, while it does."""
        path = clean_file(posixpath.join(artifact_path or "", artifact_file_name))
        with _naming_errors(path):
            upload = self._upload(path)
            checked = self._check(path)
            try:
                async for chunk in chunks:
                    if (before := upload.add(chunk)) is not None:
                        await asyncio.wrap_future(before)
                await asyncio.wrap_future(checked)
                await asyncio.wrap_future(upload.finish())
            except BaseException as error:
                _abort(upload, error)
                raise

    def list_artifacts(self, path: str | None = None) -> list[FileInfo]:
        """Return what lies directly in a folder."""
        return list(self._s3.list_artifacts(clean(path or "")))

    def delete_artifacts(self, artifact_path: str | None = None) -> None:
        """Remove a file, or all below a folder."""
        self._s3.delete_artifacts(clean(artifact_path or ""))

    async def open(self, artifact_path: str, part: Part | None = None) -> Download:
        """Start to read a file; raise `MlflowException` where there is none, `NoPartError`."""
        path = clean_file(artifact_path)
        with _naming_errors(path):
            return await asyncio.wrap_future(_threads.submit(self._open, path, part))

    async def facts(self, artifact_path: str) -> Facts:
        """Look at a file; raise `MlflowException` where there is none."""
        path = clean_file(artifact_path)
        with _naming_errors(path):
            return await asyncio.wrap_future(_threads.submit(self._look, path))

    def _look(self, artifact_path: str) -> Facts:
        found = self._client.head_object(**self._place(artifact_path))
        return _facts(found, int(found["ContentLength"]))

    def _open(self, artifact_path: str, part: Part | None) -> Download:
        asked = {} if part is None else {"Range": part.header()}
        try:
            answer = self._client.get_object(**self._place(artifact_path), **asked)
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidRange":
                raise
            raise NoPartError(self._look(artifact_path).size) from None
        size = int(answer["ContentLength"])
        # As `bytes 0-99/200`; a store that knows no ranges sends all.
        span, _, whole = answer.get("ContentRange", "").partition("/")
        if not whole:
            return Download(answer["Body"], _facts(answer, size), _threads)
        if size == 0:  # of an empty file: MinIO has the last bytes of nothing, too
            answer["Body"].close()
            raise NoPartError(int(whole))
        start = int(span.removeprefix("bytes ").partition("-")[0])
        facts = _facts(answer, int(whole))
        return Download(answer["Body"], facts, _threads, range(start, start + size))

    def download_artifacts(self, artifact_path: str, dst_path: str | None = None) -> str:
        """Fetch a file, or all below a folder; what is not there is told as `open` does."""
        path = clean(artifact_path)
        if not self.list_artifacts(path):
            with _naming_errors(path):
                self._look(path)
        return str(super().download_artifacts(path, dst_path))

    def _download_file(self, remote_file_path: str, local_path: str | Path) -> None:
        self._s3._download_file(remote_file_path, local_path)

    @property
    def _client(self) -> Any:
        return self._s3._get_s3_client()

    def _place(self, artifact_path: str) -> dict[str, str]:
        bucket, root = self._s3.parse_s3_compliant_uri(self.artifact_uri)
        return {
            "Bucket": bucket,
            "Key": posixpath.join(root, artifact_path),
            **self._s3._bucket_owner_params,
        }

    def _check(self, artifact_path: str) -> Future[None]:
        """Have a name refused that is a folder, or below a file."""
        place = self._place(artifact_path)
        return _threads.submit(_shadows.refuse, self._client, place, artifact_path)

    def _upload(self, artifact_path: str) -> Upload:
        # As MLflow stores a file.
        kind, encoding = mimetypes.guess_type(artifact_path)
        options = {"ContentType": kind, "ContentEncoding": encoding}
        options = {key: value for key, value in options.items() if value}
        options |= self._s3.get_s3_file_upload_extra_args() or {}
        return Upload(self._client, _threads, self._place(artifact_path), options)


class PresignedS3Repository(ProxiedS3Repository, MultipartUploadMixin, MultipartDownloadMixin):
    """An S3 store that clients use also by presigned URLs: large files, in parts, at once."""

    def create_multipart_upload(
        self, local_file: str, num_parts: int = 1, artifact_path: str | None = None
    ) -> CreateMultipartUploadResponse:
        """Start an upload and sign a URL for each part."""
        name, folder, path = _named(local_file, artifact_path)
        with _naming_errors(path):
            self._check(path).result()
            created: CreateMultipartUploadResponse = self._s3.create_multipart_upload(
                name, num_parts, folder
            )
        return created

    def complete_multipart_upload(
        self,
        local_file: str,
        upload_id: str,
        parts: list[MultipartUploadPart],
        artifact_path: str | None = None,
    ) -> None:
        """Make an object of the parts."""
        name, folder, _ = _named(local_file, artifact_path)
        self._s3.complete_multipart_upload(name, upload_id, parts, folder)

    def abort_multipart_upload(
        self, local_file: str, upload_id: str, artifact_path: str | None = None
    ) -> None:
        """Drop the parts."""
        name, folder, _ = _named(local_file, artifact_path)
        self._s3.abort_multipart_upload(name, upload_id, folder)

    def get_download_presigned_url(
        self, artifact_path: str, expiration: int = 300
    ) -> PresignedDownloadUrlResponse:
        """Sign a URL that reads a file for so many seconds."""
        path = clean_file(artifact_path)
        with _naming_errors(path):
            signed: PresignedDownloadUrlResponse = self._s3.get_download_presigned_url(
                path, expiration
            )
        return signed


def repository(
    artifact_uri: str, tracking_uri: str | None = None, registry_uri: str | None = None
) -> ProxiedS3Repository:
    """Return what the deployment asks for; MLflow offers clients what the class can do."""
    chosen = PresignedS3Repository if os.environ.get(PRESIGNED_ENDPOINT) else ProxiedS3Repository
    return chosen(artifact_uri, tracking_uri, registry_uri)


def _named(local_file: str, folder: str | None) -> tuple[str, str | None, str]:
    """Return name, folder and path of an artifact, as they are listed."""
    path = clean_file(posixpath.join(folder or "", posixpath.basename(local_file)))
    above, _, name = path.rpartition("/")
    return name, above or None, path


def _facts(answer: Any, size: int) -> Facts:
    return Facts(size, str(answer["ETag"]), answer["LastModified"])


@contextmanager
def _naming_errors(path: str) -> Iterator[None]:
    """Turn what S3 says of a client's path into MLflow's answer."""
    try:
        yield
    except ClientError as error:
        told = error.response["Error"]
        if (code := BOTO_TO_MLFLOW_ERROR.get(told["Code"])) is not None:
            message = f"{shortened(path)}: {told['Message']}"
            raise MlflowException(message, error_code=code) from None
        if told["Code"] in NOT_TAKEN:
            raise _not_taken(path, told) from None
        if error.response["ResponseMetadata"]["HTTPStatusCode"] >= 500:
            raise _unavailable(told["Code"]) from error
        raise
    except BotoCoreError as error:  # it was not reached, or went away
        raise _unavailable(type(error).__name__) from error


def _unavailable(why: str) -> MlflowException:
    """Return what to answer while the store cannot serve: clients send the request again."""
    _log.warning("the artifact store does not answer: %s", why)
    message = f"The artifact store does not answer ({why}). Send the request again."
    return MlflowException(message, error_code=TEMPORARILY_UNAVAILABLE)


def _not_taken(path: str, told: Mapping[str, str]) -> MlflowException:
    """Return what to answer where S3 does not take a path."""
    size = len(path.encode())
    if told["Code"] == "KeyTooLongError" and size > KEY_BYTES:
        return refused(f"it has {size} bytes, and the artifact store takes {KEY_BYTES}.")
    if told["Code"] != "KeyTooLongError" and (long := too_long(path, KEY_BYTES)):
        return long
    said = told["Message"].strip().removesuffix(".")
    return refused(f"the artifact store does not take '{shortened(path)}': {said}.")


def _abort(upload: Upload, cause: BaseException) -> None:
    """Drop a failed upload, without waiting: whoever ended the request may have ended its task."""

    def report(done: Future[None]) -> None:
        if error := done.exception():
            _log.error("parts of a failed upload (%r) are left in the store: %r", cause, error)

    upload.abort().add_done_callback(report)
