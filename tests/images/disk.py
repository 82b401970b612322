"""Volumes on a disk of their own: a file system in an image file behind a loop device.

What reached the device is in the file, what the kernel still holds back is not: a file system that
is shut down without writing anything back is the disk after a power failure.
"""

import contextlib
import fcntl
import json
import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker.errors import APIError
from docker.models.containers import Container

from tests.images.sandbox import LABEL, Sandbox

SHUTDOWN = 0x8004587D
"""ext4's ioctl of that name, with which xfstests' `godown` cuts the power, too."""

NO_LOG_FLUSH = (2).to_bytes(4, "little")
"""Not even the journal's open transaction is written."""

FIBMAP = 1
"""The ioctl that tells a block of a file from its number."""

BLOCK = 4096
"""Bytes that the file system, and this disk, write as a whole."""

NO_SYNC = "seccomp=" + json.dumps(
    {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [
            {
                "names": ["fsync", "fdatasync", "sync_file_range", "msync", "sync", "syncfs"],
                "action": "SCMP_ACT_ERRNO",
                "errnoRet": 0,
            }
        ],
    }
)
"""A security option of a container whose kernel confirms every synchronisation and does none: what
is tested there has to lose something, or the test proves nothing."""

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root")


def run(*command: str | Path) -> str:
    """Run a command on this machine; returns what it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


def format_disk(disk: Path, size: int, owner: str) -> None:
    """Make a sparse image file of `size` bytes with an ext4 whose root `owner` (uid:gid) has."""
    disk.touch()
    os.truncate(disk, size)
    run("mkfs.ext4", "-q", "-F", "-b", str(BLOCK), "-m", "0", "-E", f"root_owner={owner}", disk)


@contextlib.contextmanager
def disk_volume(sandbox: Sandbox, disk: Path) -> Iterator[str]:
    """Give a Docker volume on the file system in an image file; nothing may use it at the end."""
    device = run("losetup", "--find", "--show", disk)
    name = f"{sandbox.name}-{disk.stem}"
    try:
        created = sandbox.client.volumes.create(
            name, driver_opts={"type": "ext4", "device": device}, labels={LABEL: sandbox.name}
        )
        yield name
        created.remove()
    finally:
        run("losetup", "--detach", device)


@contextlib.contextmanager
def mounted(disk: Path) -> Iterator[Path]:
    """Give this machine the root of a file system that a container has, too."""
    [device] = run("losetup", "--noheadings", "--output=NAME", "--associated", disk).splitlines()
    folder = Path(tempfile.mkdtemp())
    run("mount", "-t", "ext4", device, folder)
    try:
        yield folder
    finally:
        run("umount", folder)
        folder.rmdir()


def place(disk: Path, file: str) -> list[int]:
    """Return where in the image file each block of a file is."""
    with mounted(disk) as root, (root / file).open("rb") as opened:
        blocks = range(-(-os.fstat(opened.fileno()).st_size // BLOCK))
        found = [fcntl.ioctl(opened, FIBMAP, block.to_bytes(4, "little")) for block in blocks]
    return [int.from_bytes(block, "little") * BLOCK for block in found]


def cut_power(disk: Path, container: Container) -> float:
    """Cut a container off from its volume on `disk`, and kill it; started again, it has the disk
    as a power failure left it. Returns the moment, by `time.monotonic`.

    The server is not stopped before: the cut comes in the middle of its writing. What it said
    after the moment, no machine without power could have said.
    """
    with mounted(disk) as folder:
        root = os.open(folder, os.O_RDONLY)
        try:
            moment = time.monotonic()
            fcntl.ioctl(root, SHUTDOWN, NO_LOG_FLUSH)
        finally:
            os.close(root)
    with contextlib.suppress(APIError):  # a server may have ended by itself
        container.kill("SIGKILL")
    container.wait(timeout=180)
    return moment
