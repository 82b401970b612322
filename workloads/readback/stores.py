"""The artifacts that a run wrote, read from the artifact store itself, past every tracking server.

With them the spans of traces that are archived there. Of S3 that is the bucket. A folder is read
inside a container that has it, by `find`, `sha256sum` and `tar`: the NFS server's own where the
stack has one, else a replica's mount.
"""

import configparser
import hashlib
import io
import re
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import boto3  # type: ignore[import-untyped]
import docker
from botocore.config import Config  # type: ignore[import-untyped]
from gevent.pool import Pool  # type: ignore[import-untyped]

from infra.outputs import ArtifactStore, Platform, Target
from workloads import error_summary
from workloads.history.history import Kind
from workloads.readback.archive import Archive
from workloads.readback.archive import values as archived_values
from workloads.readback.attempted import Attempted
from workloads.readback.lines import Lines

READERS = 6
BLOCK = 1 << 20

NFS_FOLDER = "/var/lib/nfs-server"
"""Where the NFS server's container has what it exports."""

# Places below an experiment's folder, as MLflow lays them out.
_PLACE = re.compile(r"(?:models/|traces/)?(?P<owner>[^/]+)/artifacts/(?P<path>.+)", re.DOTALL)

# MLflow's own names of uploads that are not finished; it lists none of them either.
_UNFINISHED = ".artifact.uploading.*"

_CHECKSUMS = (
    'cd "$1" 2>/dev/null || exit 0; find . -type f ! -name "$2" -print0 | xargs -0 -r sha256sum -z'
)


Content = tuple[str, bytes | None, Exception | None]
"""A trace's id, and what its file of archived spans holds: None if it is not there."""


class UnreachableStoreError(Exception):
    """The store cannot be read from here; the message says why."""


ARCHIVES_AT_ONCE = 100
"""Traces whose archived spans are read from a folder at once."""

_CONTENTS = (
    'cd "$1" || exit 1; shift; for file; do [ ! -f "$file" ] || printf "%s\\0" "$file"; done'
    " | tar --create --null --files-from=- --file=-"
)


def read(
    target: Target,
    credentials: str | None,
    experiment_id: str,
    attempted: Attempted,
    archive: Archive,
    lines: Lines,
) -> None:
    """Read the artifacts of the experiment's runs and logged models, and what is archived.

    Raises `UnreachableStoreError` where the store cannot be read from here at all, else what the
    store's own client raises.
    """
    if target.artifact_store.uri.startswith("s3://"):
        store = target.artifact_store
        bucket = bucket_of(store, credentials)
        _read_s3(bucket, experiment_id, attempted, lines)
        files = archive.files(store.uri)
        _write_archived(_objects(bucket, files), attempted, lines)
    else:
        container, folder = folder_of(target)
        sums = _checksums(container, f"{folder}/{experiment_id}")
        lines.begin({Kind.ARTIFACT}, of_some={Kind.SPAN})
        _write(((path, digest, None) for path, digest in sums), attempted, lines)
        files = archive.files(target.artifact_store.uri)
        _write_archived(_members(container, folder, files), attempted, lines)
    if elsewhere := len(archive) - len(files):
        lines.not_done(
            f"the archived spans of {elsewhere} traces were read through the servers only: they "
            f"are not in {target.artifact_store.uri}"
        )


def folder_of(target: Target) -> tuple[str, str]:
    """Return the container and the folder in it by which a folder of artifacts is reached.

    Raises `UnreachableStoreError` if no container of this machine has it.
    """
    if target.platform is not Platform.DOCKER:
        raise UnreachableStoreError("a folder is read through Docker only")
    for component in target.components:
        if component.kind == "nfs":
            return component.container, NFS_FOLDER
    for component in target.components:
        if component.kind == "mlflow":
            return component.container, urlsplit(target.artifact_store.uri).path
    raise UnreachableStoreError("no container of the stack is known")


def bucket_of(store: ArtifactStore, credentials: str | None) -> tuple[Any, str, str]:
    """Return a client for the store, its bucket, and its folder there, with a `/` at the end."""
    keys = configparser.ConfigParser(interpolation=None)
    keys.read_string(credentials or "")
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=store.endpoint,
        region_name=store.region,
        config=Config(signature_version="s3v4", connect_timeout=5, max_pool_connections=16),
        **dict(keys.items("default") if keys.has_section("default") else ()),
    )
    bucket, _, prefix = store.uri.removeprefix("s3://").partition("/")
    return client, bucket, f"{prefix}/" if prefix else ""


def objects(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    """Yield what the bucket lists below a prefix: `Key`, `Size`, `ETag` and more."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Contents", ())


def _read_s3(
    place: tuple[Any, str, str], experiment_id: str, attempted: Attempted, lines: Lines
) -> None:
    client, bucket, base = place
    root = f"{base}{experiment_id}/"
    keys = [str(entry["Key"]) for entry in objects(client, bucket, root)]
    lines.begin({Kind.ARTIFACT}, of_some={Kind.SPAN})

    def digest(key: str) -> tuple[str, str, str | None]:
        sha256 = hashlib.sha256()
        try:
            with closing(client.get_object(Bucket=bucket, Key=key)["Body"]) as body:
                for block in body.iter_chunks(BLOCK):
                    sha256.update(block)
        except Exception as error:
            return key.removeprefix(root), "", error_summary(error)
        return key.removeprefix(root), sha256.hexdigest(), None

    _write(Pool(READERS).imap_unordered(digest, keys), attempted, lines)


def _objects(place: tuple[Any, str, str], files: Mapping[str, str]) -> Iterator[Content]:
    client, bucket, base = place

    def content(trace_id: str) -> Content:
        try:
            with closing(
                client.get_object(Bucket=bucket, Key=base + files[trace_id])["Body"]
            ) as body:
                return trace_id, body.read(), None
        except client.exceptions.NoSuchKey:
            return trace_id, None, None
        except Exception as error:
            return trace_id, None, error

    yield from Pool(READERS).imap_unordered(content, files)


def _members(container: str, folder: str, files: Mapping[str, str]) -> Iterator[Content]:
    """Return what is in these files of a folder, which is in a container."""
    with closing(docker.from_env(timeout=600)) as client:
        every, n = list(files), ARCHIVES_AT_ONCE
        for some in (every[at : at + n] for at in range(0, len(every), n)):
            output: Any
            status, output = client.containers.get(container).exec_run(
                ["sh", "-c", _CONTENTS, "sh", folder, *(files[i] for i in some)], demux=True
            )
            stdout, stderr = (part or b"" for part in output)
            if status != 0:
                error = OSError(f"{container}: {stderr.decode().strip()[:200]}")
                yield from ((trace_id, None, error) for trace_id in some)
                continue
            with tarfile.open(fileobj=io.BytesIO(stdout)) as packed:
                found = {m.name: taken.read() for m in packed if (taken := packed.extractfile(m))}
            yield from ((trace_id, found.get(files[trace_id]), None) for trace_id in some)


def _write_archived(contents: Iterable[Content], attempted: Attempted, lines: Lines) -> None:
    """Write the spans of each trace that is archived: none if there is no file."""
    for trace_id, content, error in contents:
        sent = attempted.traces.get(trace_id, {})
        found: dict[str, list[str]] = {}
        try:
            found = archived_values(content, sent) if content is not None else {}
        except ValueError as damaged:
            error = damaged
        lines.add(Kind.SPAN, trace_id, found, error=error)


def _checksums(container: str, folder: str) -> Iterator[tuple[str, str]]:
    """Return path below `folder` and SHA-256 of every file.

    Raises `DockerException`, or `OSError` if a file cannot be read.
    """
    with closing(docker.from_env(timeout=600)) as client:
        output: Any
        status, output = client.containers.get(container).exec_run(
            ["sh", "-c", _CHECKSUMS, "sh", folder, _UNFINISHED], demux=True
        )
    stdout, stderr = (part or b"" for part in output)
    if status != 0:
        raise OSError(f"{container}: {stderr.decode().strip()[:200]}")
    for line in stdout.decode(errors="surrogateescape").split("\0"):
        digest, _, path = line.partition("  ./")
        if path:
            yield path, digest


def _write(
    files: Iterable[tuple[str, str, str | None]],
    attempted: Attempted,
    lines: Lines,
) -> None:
    """Write path, SHA-256 and error of each file by the run, model or trace that it belongs to."""
    items: dict[str, dict[str, list[str]]] = defaultdict(dict)
    unread: dict[str, dict[str, str]] = defaultdict(dict)
    for path, digest, error in files:
        place = _PLACE.fullmatch(path)
        if place is None:
            continue  # not a run's: nothing that a client of ours wrote
        if error:
            unread[place["owner"]][place["path"]] = error
        else:
            items[place["owner"]][place["path"]] = [digest]
    for owner in sorted(attempted.with_files | attempted.models | items.keys() | unread.keys()):
        lines.add(Kind.ARTIFACT, owner, items.get(owner), unread.get(owner))
