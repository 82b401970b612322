"""People who store files of several sizes and fetch them again."""

import hashlib
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

from workloads.history import Kind, Write
from workloads.plan import Plan
from workloads.users import ways
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
    way = ways.way(session.process.plan, client)
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
                # Only the step knows of what goes past the server.
                kept = [Write(Kind.ARTIFACT, run_id, path.name, expected)]
                with session.step(f"upload {size_name(size)}", size=size, writes=kept):
                    way.upload(run_id, path)
                path.unlink()
                yield
                with session.step(f"download {size_name(size)}", size=size):
                    got = way.download(run_id, path.name, Path(folder))
                with got.open("rb") as file:
                    if (found := sha256(file)) != expected:
                        raise AssertionError(
                            f"{path.name} of {run_id}: SHA-256 is {found}, and was {expected}"
                        )
                got.unlink()
                yield


class Keeper(Person):
    """Someone who stores files without a pause."""

    lives: ClassVar[dict[Life, int]] = {store_files: 1}


def check_way(plan: Plan, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """See before the load that files can take the way that is wanted; makes nothing."""
    ways.check(plan)
    return {}
