"""Putting a backup into a stack that is deployed and that nobody has used.

The artifacts go first: a database that names them comes when they are there. Servers stand still
while the database is exchanged, and the schema job looks at it before they start again: it
upgrades what an earlier mlflow wrote.
"""

import tempfile
from pathlib import Path
from shutil import copyfileobj

from infra.outputs import Target
from scripts.archive import RefusedError, manifest
from scripts.archive.artifacts import Artifacts
from scripts.archive.database import Database
from scripts.archive.host import host_of
from scripts.archive.manifest import Manifest


def put_back(target: Target, path: Path) -> Manifest:
    """Put the backup in `path` into the stack and return its manifest.

    Raises `RefusedError` before anything is changed if the file is damaged, is of a newer mlflow,
    or the stack is not empty; or `requests.RequestException`, or `OSError` beside the file.
    """
    host, artifacts = host_of(target), Artifacts(target.tracking_uri)
    database = Database(target, host)
    described = manifest.read(path)
    check_versions(described, target.mlflow_version, database.version())
    if content := database.content():
        raise RefusedError(
            f"stack {target.stack!r} is not empty ({content}): restore into a new one"
        )
    if there := artifacts.paths():
        raise RefusedError(
            f"stack {target.stack!r} is not empty ({len(there)} artifacts, as {there[0]}): "
            "restore into a new one"
        )
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-", dir=path.parent) as folder:
        dump = Path(folder) / manifest.DATABASE
        for name, content_of in manifest.members(path):
            if name == manifest.DATABASE:
                with dump.open("xb") as file:
                    copyfileobj(content_of, file)
            elif name.startswith(manifest.ARTIFACTS):
                artifacts.store(name.removeprefix(manifest.ARTIFACTS), content_of)
        destination = database.destination()
        with host.standing_still():
            database.restore(dump, destination)
            host.run_schema_job()
    return described


def check_versions(described: Manifest, mlflow: str, postgres: str) -> None:
    """Raise `RefusedError` where a backup is of something newer than these versions."""

    def numbers(version: str) -> tuple[int, ...]:
        return tuple(int(part) for part in version.split(".") if part.isdigit())

    if numbers(described.mlflow_version) > numbers(mlflow):
        raise RefusedError(
            f"the backup is of mlflow {described.mlflow_version} and the stack runs "
            f"{mlflow}, which cannot read its database: deploy a newer one"
        )
    if numbers(described.postgres_version)[0] > numbers(postgres)[0]:
        raise RefusedError(
            f"the backup is of PostgreSQL {described.postgres_version} and the stack runs "
            f"{postgres}: deploy a newer one"
        )
