"""PostgreSQL's disk is full: it can write neither tables nor its log."""

from docker.errors import DockerException

from infra.outputs import Component, Target
from workloads import error_summary
from workloads.faults.fault import FaultError
from workloads.faults.on_container import OnContainer, connect, shell

FOLDER = "/var/lib/postgresql/data"
BALLAST = f"{FOLDER}/mlflow-bench-ballast"

LARGEST = 64 * 2**30
"""Bytes of the largest file system that is filled: it is written, not only reserved."""

FULL = 64 * 2**10
"""Bytes below which nothing is left for PostgreSQL, which writes pages of 8 KiB."""

DISK = f"stat --file-system --format='%S %b %a' {FOLDER}; stat --file-system --format=%i {FOLDER} /"


class DiskFull(OnContainer):
    """Fills the volume's file system with a file; healing removes the file."""

    def inject(self) -> None:
        """Write until nothing goes any more, in large pieces, then in small ones."""
        shell(
            self.container,
            f"for size in 1M 4k; do dd if=/dev/zero bs=$size 2>/dev/null >>{BALLAST}; done; sync",
        )

    def in_effect(self) -> bool:
        """Whether the file system has no room."""
        size, _, free = shell(self.container, DISK).split()[:3]
        return int(size) * int(free) < FULL

    def heal(self) -> None:
        """Remove the file; PostgreSQL may just be starting, and the container with it."""
        shell(self.container, f"rm -f {BALLAST}")

    def left(self) -> bool:
        """Whether the file is there."""
        return shell(self.container, f"[[ ! -e {BALLAST} ]] || echo left") == "left"


def disk_of_its_own(target: Target) -> str | None:
    """Filling the disk that the machine itself runs on would stop much more than PostgreSQL."""
    database: Component = next(
        component for component in target.components if component.kind == "postgres"
    )
    try:
        container = connect().containers.get(database.container)
        size, blocks, _, ours, root = shell(container, DISK).split()
    except (DockerException, FaultError) as error:
        return f"its disk cannot be looked at: {error_summary(error)}"
    if ours == root or int(size) * int(blocks) > LARGEST:
        return (
            "PostgreSQL's volume is on the machine's own disk, which would be full for everything; "
            f"it takes a file system of its own of at most {LARGEST >> 30} GiB"
        )
    return None
