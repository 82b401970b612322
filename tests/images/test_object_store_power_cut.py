"""An acknowledged object survives a power failure, not only a killed process."""

import os
import time
from pathlib import Path

import pytest

from tests.images.disk import cut_power, disk_volume, format_disk, needs_root
from tests.images.object_store import BUCKET, VOLUME, ObjectStore
from tests.images.sandbox import Sandbox, execute

SIZE = 8 * 2**30
"""Of the image file, which is sparse."""

pytestmark = [pytest.mark.plugins, needs_root]


def test_acknowledged_objects_are_on_the_disk(
    store: ObjectStore, sandbox: Sandbox, tmp_path: Path
) -> None:
    disk = tmp_path / store.engine.name
    format_disk(disk, SIZE, f"{store.engine.uid}:{store.engine.uid}")
    written = {}
    with disk_volume(sandbox, disk) as name:
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
        # A control: what nobody synchronised must be lost, or the cut proves nothing.
        control = execute(own.container, "sh", "-c", f"echo held-back > {VOLUME}/control")
        assert control.returncode == 0, control.stderr
        cut_power(disk, own.container)
        own.container.start()
        own.wait()
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
