"""MLflow's answers when its NFS store is full, refuses or hangs: the cause, in bounded time.

One server of the real image on a small disk, mounted as in a stack but with less patience.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import docker
import pytest
import requests

from infra.docker.artifact_mount import FOLDER
from tests.images.disk import disk_volume, format_disk, needs_root
from tests.images.nfs import OWNER, VOLUME, NfsClient, NfsServer
from tests.images.sandbox import Sandbox, build, ends, execute, wait_until
from workloads.faults.container_faults import pause

pytestmark = [pytest.mark.plugins, needs_root]

MIB = 2**20
PATIENCE = 8
"""Seconds that an operation waits for the NFS server here; 60 in a stack."""


@dataclass
class Server:
    """A tracking server and the NFS server that it keeps artifacts on."""

    address: str
    client: NfsClient
    nfs: NfsServer

    def upload(self, path: str, data: bytes) -> requests.Response:
        return requests.put(self._place(path), data=data, timeout=60)

    def download(self, path: str) -> requests.Response:
        return requests.get(self._place(path), timeout=60)

    def _place(self, path: str) -> str:
        return f"{self.address}/api/2.0/mlflow-artifacts/artifacts/{path}"


@pytest.fixture(scope="module")
def server(
    sandbox: Sandbox,
    client: docker.DockerClient,
    mlflow_image: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Server]:
    disk = tmp_path_factory.mktemp("disk") / "failures"
    format_disk(disk, 64 * MIB, OWNER)
    with disk_volume(sandbox, disk) as volume:
        nfs = NfsServer(sandbox, build(client, "nfs"), host="small", volume=volume).wait()
        replica = NfsClient(
            sandbox,
            mlflow_image,
            nfs,
            *("mlflow", "server", "--host=0.0.0.0", "--port=5000", "--workers=1"),
            *("--backend-store-uri=sqlite:////tmp/mlflow.db", "--serve-artifacts"),
            f"--artifacts-destination=file://{FOLDER}",
            "--default-artifact-root=mlflow-artifacts:/",
            timeout=PATIENCE,
            environment={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
            ports={"5000/tcp": ("127.0.0.1", None)},
        )
        try:
            replica.wait()
            replica.container.reload()
            published: Any = replica.container.ports
            port = published["5000/tcp"][0]["HostPort"]
            wait_until(lambda: is_ready(replica), 90, "the tracking server is ready")
            yield Server(f"http://127.0.0.1:{port}", replica, nfs)
        finally:
            replica.container.remove(force=True)
            nfs.container.remove(force=True)


def is_ready(replica: NfsClient) -> bool:
    return execute(replica.container, "ready").returncode == 0


def cause(answer: requests.Response) -> str:
    """Return what an error answer says beyond that the store failed."""
    assert answer.status_code == 500, answer.text
    start = f"The artifact store {FOLDER} failed: "
    message = str(answer.json()["message"])
    assert message.startswith(start)
    return message.removeprefix(start)


def test_a_full_store_is_named_and_what_was_acknowledged_stays(server: Server) -> None:
    kept = bytes(range(256)) * 4096 * 8
    assert server.upload("kept", kept).status_code == 200
    assert cause(server.upload("too-big", bytes(96 * MIB))) == "No space left on device"
    assert server.download("too-big").status_code == 404
    assert server.download("kept").content == kept
    assert server.upload("fits", kept).status_code == 200, "nothing of the failed one is left"


def test_no_part_of_a_small_file_is_left_where_it_did_not_fit(server: Server) -> None:
    """It is made, written and named in one request, of which the server may do a part."""
    size = 60_001
    for number in range(2000):
        answer = server.upload(f"small/{number}", bytes(size))
        if answer.status_code != 200:
            break
    assert cause(answer) == "No space left on device"
    assert server.upload("small/0", b"x" * size).status_code == 500
    listing = requests.get(
        f"{server.address}/api/2.0/mlflow-artifacts/artifacts", {"path": "small"}, timeout=60
    )
    found = {one["path"]: one["file_size"] for one in listing.json()["files"]}
    assert found == {str(one): size for one in range(number)}
    assert server.download("small/0").content == bytes(size), "what was there before stays"
    run = execute(
        server.nfs.container, "sh", "-c", f"ls -A {VOLUME}/small | wc -l; rm -r {VOLUME}/small"
    )
    assert run.stdout.strip() == str(number), "and no draft"


def test_a_folder_that_refuses_is_named(server: Server, sandbox: Sandbox) -> None:
    assert server.upload("closed/first", b"x").status_code == 200

    def set_immutable(flag: str) -> None:
        changing = sandbox.run(
            str(server.nfs.container.attrs["Config"]["Image"]),
            [f"{flag}i", f"{VOLUME}/closed"],
            entrypoint="chattr",
            cap_add=["LINUX_IMMUTABLE", "DAC_OVERRIDE", "FOWNER"],
            volumes=[f"{server.nfs.volume}:{VOLUME}"],
        )
        assert ends(changing) == (0, "")
        changing.remove()

    set_immutable("+")
    try:
        assert cause(server.upload("closed/second", b"x")) == "Operation not permitted"
    finally:
        set_immutable("-")
    assert server.upload("closed/second", b"x").status_code == 200


def test_a_store_that_hangs_is_named_and_comes_back(server: Server) -> None:
    """The first request waits, further ones do not; nothing is taken for an empty folder."""
    # What a test before removed from the full disk may take a moment to go.
    wait_until(lambda: server.upload("before", b"before").ok, 60, "there is room")
    pause(server.nfs.container)
    try:
        began = time.monotonic()
        assert cause(server.upload("during", b"during")) == "Input/output error"
        assert PATIENCE - 1 < time.monotonic() - began < 4 * PATIENCE
        began = time.monotonic()
        assert cause(server.download("before")) == "Input/output error"
        listed = requests.get(
            f"{server.address}/api/2.0/mlflow-artifacts/artifacts", {"path": ""}, timeout=60
        )
        assert cause(listed) == "Input/output error"
        assert time.monotonic() - began < 2 * PATIENCE
        assert not is_ready(server.client)
    finally:
        server.nfs.container.unpause()
    wait_until(lambda: is_ready(server.client), 30, "the replica is ready again")
    assert server.download("before").content == b"before"
    answer = server.upload("after", b"after")
    assert answer.status_code == 200, answer.text
