"""`scripts/backup`: copies a stack's database and artifacts into one file while it serves.

First the database, as one snapshot of PostgreSQL has it, then the artifacts. So whatever was
acknowledged before the moment is in the backup: rows by the snapshot, and an artifact because it
was stored by then and is copied later. What happens to an artifact in between shows: one that is
overwritten is in the backup as it is then, one that is deleted is named in the manifest.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path

from infra.outputs import Target
from scripts.archive import RefusedError, command, encryption, manifest
from scripts.archive.artifacts import Artifacts
from scripts.archive.database import Database
from scripts.archive.host import host_of
from scripts.archive.manifest import Manifest, Writer


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/backup",
        description="Copy a running stack's database and artifacts of one moment into one file.",
        epilog="Exit status: 0 done, 2 refused or failed.",
    )
    parser.add_argument("stack", metavar="STACK", help="name of a deployed stack, as local")
    parser.add_argument(
        "file",
        metavar="FILE",
        nargs="?",
        type=Path,
        help="a file that is not there yet (default: STACK-TIME.tar in this folder)",
    )
    parser.add_argument(
        "--without-keys",
        action="store_true",
        help="leave out the keys that the secrets of webhooks and of the gateway are encrypted by; "
        "then those have to be set again after a restore",
    )
    options = parser.parse_args(arguments)
    path = options.file or Path(f"{options.stack}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.tar")
    work = partial(_back_up, path=path, with_keys=not options.without_keys)
    return command.run("backup", options.stack, work, path)


def _back_up(target: Target, *, path: Path, with_keys: bool) -> str:
    backup = take(target, path, with_keys=with_keys)
    for name in backup.deleted:
        print(f"backup: {name} was deleted while the backup was taken")
    size = path.stat().st_size / 2**20
    return (
        f"{path}: {backup.stored} artifacts and the database of mlflow "
        f"{backup.mlflow_version}, as of {backup.moment}; {size:.1f} MiB"
    )


def take(target: Target, path: Path, *, with_keys: bool = True) -> Manifest:
    """Write a backup of the stack to `path`, which must not exist, and return its manifest.

    The file holds the keys of the stack unless `with_keys` is false: whoever has it can read what
    webhooks are signed by, and the gateway's keys. Whatever is needed on the way is beside `path`.
    Raises `RefusedError`, `requests.RequestException`, or `OSError` where the disk is full; then no
    file is left.
    """
    if path.exists():
        raise RefusedError(f"{path}: File exists; name another file")
    host, artifacts = host_of(target), Artifacts(target.tracking_uri)
    database = Database(target, host)
    stored_before = artifacts.paths()
    now_ns = time.time_ns()
    description = Manifest(
        stack=target.stack,
        moment=datetime.fromtimestamp(now_ns / 1e9, UTC).isoformat(timespec="milliseconds"),
        moment_ns=now_ns,
        mlflow_version=target.mlflow_version,
        postgres_version=database.version(),
        schema_revision=database.revision(),
        artifacts=target.artifacts,
        workspaces=database.has_workspaces(),
    )
    try:
        writer = Writer(path, description)
    except OSError as error:
        raise RefusedError(f"{path}: {error.strerror}; name another file") from None
    try:
        with tempfile.TemporaryDirectory(prefix="mlflow-bench-", dir=path.parent) as folder:
            dump = Path(folder) / manifest.DATABASE
            database.dump(dump)
            with dump.open("rb") as dumped:
                writer.add(manifest.DATABASE, dumped, manifest.checksum(dumped))
            dump.unlink()
            if with_keys and (keys := encryption.read(target, host)):
                content = BytesIO(keys.model_dump_json().encode())
                writer.add(manifest.KEYS, content, manifest.checksum(content))
            stored = artifacts.paths()
            description.deleted = sorted(set(stored_before) - set(stored))
            for name, artifact, digest in artifacts.fetch(stored, Path(folder)):
                if artifact is None:
                    description.deleted.append(name)
                    continue
                with artifact:
                    writer.add(f"{manifest.ARTIFACTS}{name}", artifact, digest)
        writer.close()
    except BaseException:
        writer.abandon()
        with suppress(OSError):
            path.unlink()
        raise
    return description


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
