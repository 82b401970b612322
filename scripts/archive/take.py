"""Taking a backup while the stack serves.

First the database, as one snapshot of PostgreSQL has it, then the artifacts. So whatever was
acknowledged before the moment is in the backup: rows by the snapshot, and an artifact because it
was stored by then and is copied later. What happens to an artifact in between shows: one that is
overwritten is in the backup as it is then, one that is deleted is named in the manifest.
"""

import tempfile
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from infra.outputs import Target
from scripts.archive import RefusedError, manifest
from scripts.archive.artifacts import Artifacts
from scripts.archive.database import Database
from scripts.archive.host import host_of
from scripts.archive.manifest import Manifest, Writer


def take(target: Target, path: Path) -> Manifest:
    """Write a backup of the stack to `path`, which must not exist, and return its manifest.

    Whatever it needs on the way is beside `path`. Raises `RefusedError`,
    `requests.RequestException`, or `OSError` where the disk is full; then no file is left.
    """
    if path.exists():
        raise RefusedError(f"{path}: File exists; name another file")
    database, artifacts = Database(target, host_of(target)), Artifacts(target.tracking_uri)
    before = artifacts.paths()
    now_ns = time.time_ns()
    described = Manifest(
        stack=target.stack,
        moment=datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        moment_ns=now_ns,
        mlflow_version=target.mlflow_version,
        postgres_version=database.version(),
        schema_revision=database.revision(),
        artifacts=target.artifacts,
    )
    try:
        writer = Writer(path, described)
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror}; name another file") from None
    try:
        with tempfile.TemporaryDirectory(prefix="mlflow-bench-", dir=path.parent) as folder:
            dump = Path(folder) / manifest.DATABASE
            database.dump(dump)
            with dump.open("rb") as dumped:
                writer.add(manifest.DATABASE, dumped, manifest.checksum(dumped))
            dump.unlink()
            there = artifacts.paths()
            described.deleted = sorted(set(before) - set(there))
            for name, content, digest in artifacts.fetch(there, Path(folder)):
                if content is None:
                    described.deleted.append(name)
                    continue
                with content:
                    writer.add(f"{manifest.ARTIFACTS}{name}", content, digest)
        writer.close()
    except BaseException:
        writer.abandon()
        with suppress(OSError):
            path.unlink()
        raise
    return described
