"""An acknowledged object survives a power failure, not only a killed process.

The store's volume is a file system in an image file behind a loop device. What reached the device
is in the file, what the kernel still holds back is not: a copy of the file, taken while the
container is frozen, is the disk after a power failure.
"""

import contextlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.images.object_store import BUCKET, VOLUME, ObjectStore
from tests.images.sandbox import LABEL, Sandbox, execute

SIZE = 8 * 2**30
"""Of the image file, which is sparse."""

pytestmark = [
    pytest.mark.plugins,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices need root"),
]


def run(*command: str | Path) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


@contextlib.contextmanager
def volume(sandbox: Sandbox, image: Path) -> Iterator[str]:
    """Give a Docker volume on the file system in an image file; nothing may use it at the end."""
    device = run("losetup", "--find", "--show", image)
    name = f"{sandbox.name}-{image.stem}"
    try:
        created = sandbox.client.volumes.create(
            name, driver_opts={"type": "ext4", "device": device}, labels={LABEL: sandbox.name}
        )
        yield name
        created.remove()
    finally:
        run("losetup", "--detach", device)


def test_acknowledged_objects_are_on_the_disk(
    store: ObjectStore, sandbox: Sandbox, tmp_path: Path
) -> None:
    owner = f"root_owner={store.engine.uid}:{store.engine.uid}"
    disk, copy = tmp_path / f"{store.engine.name}-disk", tmp_path / f"{store.engine.name}-copy"
    disk.touch()
    os.truncate(disk, SIZE)
    run("mkfs.ext4", "-q", "-F", "-E", owner, disk)
    written = {}
    with volume(sandbox, disk) as name:
        own = ObjectStore(sandbox, store.engine, store.image, store.secrets, volume=name).wait()
        user = own.client()
        for number, size in enumerate((16 * 1024, 1, 2**20, 9 * 2**20, 16 * 1024)):
            key = f"runs/{number}"
            written[key] = os.urandom(size)
            user.put_object(Bucket=BUCKET, Key=key, Body=b"overwritten")
            user.put_object(Bucket=BUCKET, Key=key, Body=written[key])
        user.put_object(Bucket=BUCKET, Key="deleted", Body=b"x")
        user.delete_object(Bucket=BUCKET, Key="deleted")
        # The kernel writes everything back now and then: what came last tells most.
        time.sleep(10)
        written["runs/last"] = os.urandom(1000)
        user.put_object(Bucket=BUCKET, Key="runs/last", Body=written["runs/last"])
        user.delete_object(Bucket=BUCKET, Key="runs/0")
        # A control: what nobody synchronised must not be in the copy, or the copy proves nothing.
        control = execute(own.container, "sh", "-c", f"echo held-back > {VOLUME}/control")
        assert control.returncode == 0, control.stderr
        own.container.pause()
        run("cp", "--sparse=always", disk, copy)
        own.container.unpause()
        own.container.remove(force=True)
    with volume(sandbox, copy) as name:
        own = ObjectStore(sandbox, store.engine, store.image, store.secrets, volume=name).wait()
        user = own.client()
        found = {
            key: user.get_object(Bucket=BUCKET, Key=key)["Body"].read() == content
            for key, content in written.items()
            if key != "runs/0"
        }
        listed = [entry["Key"] for entry in user.list_objects_v2(Bucket=BUCKET)["Contents"]]
        versions = user.list_object_versions(Bucket=BUCKET, Prefix="runs/")["Versions"]
        left = execute(own.container, "cat", f"{VOLUME}/control").stdout
        own.container.remove(force=True)
    assert set(found.values()) == {True}
    assert listed == sorted(set(written) - {"runs/0"})
    assert len(versions) == 2 * len(written) - 1
    assert left == ""
