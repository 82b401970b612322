"""`scripts/restore`: puts a backup into a stack that is deployed and that nobody has used.

The artifacts go first: a database that names them comes when they are there. Servers stand still
while the database is exchanged, and the schema job looks at it before they start again: it
upgrades what an earlier mlflow wrote, and has what the former stack encrypted encrypted by the
keys of this one.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from shutil import copyfileobj

from infra.outputs import Target
from scripts.archive import RefusedError, command, encryption, manifest
from scripts.archive.artifacts import Artifacts
from scripts.archive.database import Database
from scripts.archive.host import host_of
from scripts.archive.manifest import Manifest


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/restore",
        description="Put a backup into a stack that is deployed and empty.",
        epilog="Exit status: 0 done, 2 refused or failed.",
    )
    parser.add_argument("stack", metavar="STACK", help="name of a deployed stack, as local")
    parser.add_argument("file", metavar="FILE", type=Path, help="what scripts/backup wrote")
    options = parser.parse_args(arguments)
    work = partial(_restore, path=options.file)
    return command.run("restore", options.stack, work, options.file)


def _restore(target: Target, *, path: Path) -> str:
    backup = restore(target, path)
    return (
        f"{target.stack} has {backup.stored} artifacts and the database of "
        f"{backup.stack}, as of {backup.moment}"
    )


def restore(target: Target, path: Path) -> Manifest:
    """Put the backup in `path` into the stack and return its manifest.

    Raises `RefusedError` before anything is changed if the file is damaged, is of a newer mlflow or
    has workspaces that the stack has not, or the stack is not empty; or
    `requests.RequestException`, or `OSError` beside the file.
    """
    host, artifacts = host_of(target), Artifacts(target.tracking_uri)
    database = Database(target, host)
    description = manifest.read(path)
    check_versions(description, target.mlflow_version, database.version())
    check_workspaces(description, target)
    if content := database.content():
        raise RefusedError(
            f"stack {target.stack!r} is not empty ({content}): restore into a new one"
        )
    if stored := artifacts.paths():
        raise RefusedError(
            f"stack {target.stack!r} is not empty ({len(stored)} artifacts, as {stored[0]}): "
            "restore into a new one"
        )
    own_keys = encryption.read(target, host)
    former_keys = ""
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-", dir=path.parent) as folder:
        dump = Path(folder) / manifest.DATABASE
        for name, content_of in manifest.members(path):
            if name == manifest.DATABASE:
                with dump.open("xb") as file:
                    copyfileobj(content_of, file)
            elif name == manifest.KEYS and own_keys is not None:
                former_keys = encryption.sealed(content_of.read(), own_keys)
            elif name.startswith(manifest.ARTIFACTS):
                artifacts.store(name.removeprefix(manifest.ARTIFACTS), content_of)
        destination = database.destination()
        with host.standing_still():
            database.restore(dump, destination, former_keys)
            for line in host.run_schema_job().splitlines():
                if "warning: " in line:
                    print(f"restore: {line.partition('warning: ')[2]}")
    return description


def check_workspaces(description: Manifest, target: Target) -> None:
    """Raise `RefusedError` where a backup has workspaces that a stack would not keep apart."""
    if description.workspaces and not target.workspaces:
        raise RefusedError(
            f"the backup has workspaces and stack {target.stack!r} keeps none apart: pulumi config "
            f"set -s {target.stack} workspaces true, pulumi up, and restore again"
        )


def check_versions(description: Manifest, mlflow: str, postgres: str) -> None:
    """Raise `RefusedError` where a backup is of something newer than these versions."""

    def numbers(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split(".") if part.isdigit())

    if numbers(description.mlflow_version) > numbers(mlflow):
        raise RefusedError(
            f"the backup is of mlflow {description.mlflow_version} and the stack runs "
            f"{mlflow}, which cannot read its database: deploy a newer one"
        )
    if numbers(description.postgres_version)[0] > numbers(postgres)[0]:
        raise RefusedError(
            f"the backup is of PostgreSQL {description.postgres_version} and the stack runs "
            f"{postgres}: deploy a newer one"
        )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
