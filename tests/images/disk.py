"""Volumes on a disk of their own: a file system in an image file behind a loop device.

What reached the device is in the file, what the kernel still holds back is not: a copy of the
file, taken while what writes to it is frozen, is the disk after a power failure.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.sandbox import LABEL, Sandbox

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
    run("mkfs.ext4", "-q", "-F", "-m", "0", "-E", f"root_owner={owner}", disk)


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
