"""People who store files of several sizes and fetch them again."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

from workloads.history import sightings
from workloads.history.history import Kind, Write
from workloads.history.wire import TOKEN_TAG, sha256
from workloads.plan.plan import Plan
from workloads.scenarios.artifacts import KIB, size_name
from workloads.users import artifact_access
from workloads.users.person import Activity, Person

LATEST = "latest.bin"


@dataclass(frozen=True)
class Stored:
    """A file of a run, with what it has to be."""

    run_id: str
    name: str
    size: int
    sha256: str


def upload(
    person: Person, transfer: artifact_access.Transfer, run_id: str, name: str, size: int
) -> Stored | None:
    """Store a file of new bytes as one step; returns None if that failed."""
    session = person.session
    content = session.random.randbytes(size)
    file, stored = Stored(run_id, name, size, hashlib.sha256(content).hexdigest()), None
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        del content
        # What goes past the server is known to the step alone.
        kept = [Write(Kind.ARTIFACT, run_id, name, file.sha256)]
        with session.step(f"upload {size_name(size)}", size=size, writes=kept):
            transfer.upload(run_id, path)
            stored = file
    return stored


def download(person: Person, transfer: artifact_access.Transfer, stored: Stored) -> None:
    """Fetch a file as one step; raises `AssertionError` if its content differs."""
    digest: str | None = None
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as folder:
        path = Path(folder)

        def shown() -> list[sightings.Sighting]:
            nonlocal digest
            with path.open("rb") as file:
                digest = sha256(file)
            return [sightings.file(stored.run_id, stored.name, digest)]

        name = f"download {size_name(stored.size)}"
        with person.session.step(name, size=stored.size, shows=shown):
            path = transfer.download(stored.run_id, stored.name, path)
    # Without one, the step says why.
    if digest not in (None, stored.sha256):
        raise AssertionError(
            f"{stored.name} of {stored.run_id}: SHA-256 is {digest}, and was {stored.sha256}"
        )


def store_files(person: Person) -> Iterator[None]:
    """Upload a file of each size to a run, download it, compare, list them; and again.

    Every other time the first one overwrites `latest.bin`, as checkpoints do; all others are new.
    Up and down are steps, which take as long as the whole file: a call ends with its headers.
    """
    session, client = person.session, person.client
    sizes = [int(size) * KIB for size in person.parameters["sizes_kib"]]
    token = session.token()
    run = client.create_run(session.experiment_id, tags={TOKEN_TAG: token}, run_name=token)
    run_id = run.info.run_id
    transfer = artifact_access.transfer_for(session.process.plan, client)
    for number in count():
        for index, size in enumerate(sizes):
            overwrites = index == 0 and number % 2
            name = LATEST if overwrites else f"{number}-{index}.bin"
            stored = upload(person, transfer, run_id, name, size)
            yield
            if stored:
                download(person, transfer, stored)
                yield
        client.list_artifacts(run_id)
        yield


class ArtifactUser(Person):
    """Someone who stores files without a pause."""

    activities: ClassVar[dict[Activity, int]] = {store_files: 1}


def check_transfer(plan: Plan, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """Check before the load that the way of transfer is available; makes nothing."""
    artifact_access.check(plan)
    return {}
