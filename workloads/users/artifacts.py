"""People who store files of several sizes and fetch them again."""

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import mlflow

from workloads.users.person import Life, Person
from workloads.wire import TOKEN_TAG, sha256

KIB = 1024


def size_name(size: int) -> str:
    """Name of a number of bytes, as `16 KiB` or `4 MiB`."""
    return f"{size // KIB**2} MiB" if size % KIB**2 == 0 else f"{size // KIB} KiB"


def store_files(person: Person) -> Iterator[None]:
    """Upload a file of each size to a run, download it, compare; and again with other bytes.

    Both are steps, so that their times are those of a whole file: a call ends with its headers.
    """
    session, client = person.session, person.client
    sizes = [int(size) * KIB for size in person.parameters["sizes_kib"]]
    token = session.token()
    run = client.create_run(session.experiment_id, tags={TOKEN_TAG: token}, run_name=token)
    run_id = run.info.run_id
    number = 0
    with tempfile.TemporaryDirectory(prefix="mlflow-bench-") as folder:
        while True:
            for size in sizes:
                number += 1
                path = Path(folder) / f"{number}.bin"
                content = session.random.randbytes(size)
                path.write_bytes(content)
                expected = hashlib.sha256(content).hexdigest()
                del content
                with session.step(f"upload {size_name(size)}", size=size):
                    client.log_artifact(run_id, str(path))
                path.unlink()
                yield
                with session.step(f"download {size_name(size)}", size=size):
                    uri = f"runs:/{run_id}/{path.name}"
                    got = Path(mlflow.artifacts.download_artifacts(uri, dst_path=folder))
                with got.open("rb") as file:
                    if (found := sha256(file)) != expected:
                        raise AssertionError(f"{uri}: SHA-256 is {found}, and was {expected}")
                got.unlink()
                yield


class Keeper(Person):
    """Someone who stores files without a pause."""

    lives: ClassVar[dict[Life, int]] = {store_files: 1}
