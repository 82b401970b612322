"""Putting a backup into a stack that is deployed and that nobody has used.

The artifacts go first: a database that names them comes when they are there. Servers stand still
while the database is exchanged, and the schema job looks at it before they start again: it
upgrades what an earlier mlflow wrote.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copyfileobj

from infra.docker.identity import Identity
from infra.outputs import Target
from scripts.archive import RefusedError, manifest
from scripts.archive.artifacts import Artifacts
from scripts.archive.database import Database
from scripts.archive.manifest import Manifest

READY_SECONDS = 180


def put_back(target: Target, path: Path) -> Manifest:
    """Put the backup in `path` into the stack and return its manifest.

    Raises `RefusedError` before anything is changed if the file is damaged, is of a newer mlflow,
    or the stack is not empty; or `requests.RequestException`.
    """
    database, artifacts = Database(target), Artifacts(target.tracking_uri)
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
        with _standing_still(target):
            database.restore(dump, destination)
            _run_schema_job(target)
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


@contextmanager
def _standing_still(target: Target) -> Iterator[None]:
    """Stop the replicas, and start them again whatever happened; wait until they are ready."""
    replicas = [c.container for c in target.components if c.kind == "mlflow"]
    _docker("stop", *replicas)
    try:
        yield
    finally:
        _docker("start", *replicas)
    script = "until ready; do sleep 0.5; done"
    for replica in replicas:
        _docker("exec", replica, "timeout", str(READY_SECONDS), "bash", "-c", script)


def _run_schema_job(target: Target) -> None:
    _docker("start", "--attach", Identity.physical_name(target.stack, "schema-job"))


def _docker(*arguments: str) -> None:
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip().splitlines() or ["no message"]
        raise RefusedError(f"docker {' '.join(arguments[:3])}: {said[-1]}")
