"""Two zones on one NFS server: what one replica acknowledges the other has, whatever happens."""

import hashlib
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import docker
import psutil
import pytest
import requests

from tests.e2e import garbage
from tests.e2e.stack import Stack, end, new_stack
from workloads.faults.container_faults import pause

pytestmark = pytest.mark.e2e

PREFIX = "mlflow-bench-e2e-nfs-"
MIB = 2**20


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    stack = new_stack("e2e-nfs", tmp_path_factory.mktemp("nfs"))
    stack.configure(zones=2, artifacts="nfs")
    try:
        said = stack.up()
        assert "NFS is mounted by " in said
        yield stack
    finally:
        processes = clients(docker_client)
        end(stack, docker_client)
        assert not any(process.is_running() for process in processes)
        assert "fuse.nfs" not in Path("/proc/mounts").read_text()


def clients(docker_client: docker.DockerClient) -> list[psutil.Process]:
    """Return the processes that mount for the replicas, if they do so by themselves."""
    return [
        psutil.Process(int(row[1]))
        for name in ("mlflow-a-1", "mlflow-b-1")
        for container in docker_client.containers.list(
            filters={"name": PREFIX + name}, ignore_removed=True
        )
        for row in container.top()["Processes"]
        if "nfs-mount" in row[-1]
    ]


@pytest.fixture(scope="module")
def replicas(stack: Stack) -> tuple[str, str]:
    """Addresses of the two replicas, past the load balancer."""
    target: dict[str, Any] = stack.outputs()["target"]
    one, other = (part["audit"] for part in target["components"] if part["kind"] == "mlflow")
    return f"http://{one}", f"http://{other}"


def place(replica: str, path: str) -> str:
    return f"{replica}/api/2.0/mlflow-artifacts/artifacts/{path}"


def upload(replica: str, path: str, data: Any) -> requests.Response:
    return requests.put(place(replica, path), data=data, timeout=90)


def download(replica: str, path: str) -> requests.Response:
    return requests.get(place(replica, path), timeout=90)


def slowly(data: bytes, seconds: float) -> Iterator[bytes]:
    """Yield data in pieces of a mebibyte over so many seconds."""
    pieces = [data[at : at + MIB] for at in range(0, len(data), MIB)]
    for piece in pieces:
        yield piece
        time.sleep(seconds / len(pieces))


def test_an_artifact_is_at_once_in_the_other_replica(replicas: tuple[str, str]) -> None:
    """New ones and ones that take another's place, and the folder that lists them."""
    for number in range(30):
        here, there = replicas if number % 2 else replicas[::-1]
        new, same = f"runs/{number}/new", "runs/same"
        assert download(there, new).status_code == 404
        content = os.urandom(1000 + number)
        for path in (new, same):
            assert upload(here, path, content).status_code == 200
            assert download(there, path).content == content
        listed = requests.get(place(there, "").rstrip("/"), {"path": f"runs/{number}"}, timeout=30)
        assert listed.json() == {
            "files": [{"path": "new", "is_dir": False, "file_size": 1000 + number}]
        }, (number, listed.text)


@contextmanager
def downloads(replica: str, path: str) -> Iterator[list[tuple[int, str]]]:
    """Download again and again meanwhile; yields a list that gets statuses and digests.

    An answer that breaks off has status 0, and the error for a digest.
    """
    done = threading.Event()
    answers: list[tuple[int, str]] = []

    def read() -> None:
        while not done.is_set():
            try:
                answer = download(replica, path)
            except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
                answers.append((0, str(error)))
            else:
                answers.append((answer.status_code, hashlib.sha256(answer.content).hexdigest()))

    with ThreadPoolExecutor() as pool:
        reading = pool.submit(read)
        try:
            yield answers
        finally:
            done.set()
        reading.result()


def test_nobody_sees_half_an_artifact(replicas: tuple[str, str]) -> None:
    """What is read while it is being replaced is one version or the other, or breaks off."""
    versions = [os.urandom(4 * MIB) for _ in range(8)]
    known = {hashlib.sha256(version).hexdigest() for version in versions}
    with downloads(replicas[1], "half") as answers:
        for version in versions:
            assert upload(replicas[0], "half", slowly(version, 0.3)).status_code == 200
    seen = {digest for status, digest in answers if status == 200}
    assert seen
    assert seen <= known
    assert download(replicas[1], "half").content == versions[-1]


def test_a_small_artifact_is_read_whole_while_the_other_replica_replaces_it(
    replicas: tuple[str, str],
) -> None:
    """What was replaced before its first bytes were read is opened again."""
    versions = [bytes([number]) * (1000 + number) for number in range(256)]
    whole = {(200, hashlib.sha256(version).hexdigest()) for version in versions}
    assert upload(replicas[0], "small", versions[0]).status_code == 200
    with downloads(replicas[1], "small") as some, downloads(replicas[1], "small") as others:
        for version in versions * 4:
            assert upload(replicas[0], "small", version).status_code == 200
    for answers in (some, others):
        assert set(answers) <= whole
        assert len(set(answers)) > 20


def test_what_was_deleted_is_removed_for_good(
    stack: Stack, docker_client: docker.DockerClient
) -> None:
    def empty_folders() -> str:
        find = ["find", "/var/lib/nfs-server", "-mindepth", "1", "-type", "d", "-empty"]
        return str(docker_client.containers.get(PREFIX + "nfs").exec_run(find).output)

    before = empty_folders()
    garbage.leaves_nothing(stack)
    assert empty_folders() == before


def test_a_killed_nfs_server_costs_no_acknowledged_artifact(
    replicas: tuple[str, str], docker_client: docker.DockerClient
) -> None:
    data = [os.urandom(48 * MIB) for _ in replicas]
    with ThreadPoolExecutor() as pool:
        uploads = [
            pool.submit(upload, replica, f"killed/{number}", slowly(data[number], 4))
            for number, replica in enumerate(replicas)
        ]
        time.sleep(1.5)
        server = docker_client.containers.get(PREFIX + "nfs")
        server.kill("SIGKILL")
        server.wait(timeout=180)
        server.start()
        assert [one.result().status_code for one in uploads] == [200, 200]
    for number, content in enumerate(data):
        assert download(replicas[1 - number], f"killed/{number}").content == content


def test_a_frozen_nfs_server_is_waited_for(
    replicas: tuple[str, str], docker_client: docker.DockerClient
) -> None:
    """For 30 s, in the middle of uploads; meanwhile metadata is served as ever.

    A large one waits while it is written, a small one when it is closed; a download waits, too.
    """
    assert upload(replicas[0], "before", b"before").status_code == 200
    data = {size: os.urandom(size * MIB) for size in (2, 32)}
    server = docker_client.containers.get(PREFIX + "nfs")
    with ThreadPoolExecutor() as pool:
        uploading = [
            pool.submit(upload, replicas[0], f"frozen-{size}", slowly(content, 2))
            for size, content in data.items()
        ]
        time.sleep(1)
        pause(server)
        try:
            downloading = pool.submit(download, replicas[0], "before")
            time.sleep(15)
            for replica in replicas:
                search = f"{replica}/api/2.0/mlflow/experiments/search?max_results=1"
                assert requests.get(search, timeout=12).status_code == 200
            time.sleep(15)
            assert not any(one.done() for one in [*uploading, downloading])
        finally:
            server.unpause()
        assert [one.result().status_code for one in uploading] == [200, 200]
        assert downloading.result().content == b"before"
    for size, content in data.items():
        assert download(replicas[1], f"frozen-{size}").content == content
