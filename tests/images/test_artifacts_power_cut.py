"""An artifact that was acknowledged survives a power failure: on a volume, and on the NFS server.

Clients put, overwrite and delete artifacts through a tracking server until the power of the disk
is cut; what was acknowledged before has to be there, whole. `-rP` shows what each cut did.
"""

import contextlib
import hashlib
import math
import random
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import requests
from docker.models.containers import Container

from infra.docker.artifact_mount import FOLDER
from tests.images.disk import NO_SYNC, cut_power, disk_volume, format_disk, mounted, needs_root
from tests.images.ledger import Ledger, Outcome
from tests.images.nfs import OWNER, NfsClient, NfsServer
from tests.images.sandbox import Sandbox, build, execute, wait_until
from workloads.faults.container_faults import pause

SIZE = 4 * 2**30
"""Of the image file, which is sparse."""

CLIENTS = 4
CUTS = 3
LEAST = 20
"""Acknowledged writes before the seconds to the cut begin."""
START_SECONDS = 120
ANSWER_SECONDS = 90
REFUSED_SECONDS = 0.2
"""Between a call that failed and the next one."""
PORTS = {"5000/tcp": ("127.0.0.1", None)}
KEY = "run/artifacts/model/file"
SERVER = (
    *("mlflow", "server", "--host=0.0.0.0", "--workers=1", "--allowed-hosts=*"),
    *("--backend-store-uri=sqlite:////tmp/mlflow.db", "--serve-artifacts"),
    f"--artifacts-destination=file://{FOLDER}",
)
OURS = "--app-name=mlflow-bench"
ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_BENCH_REQUESTS_AT_ONCE": "8",
}
SIZES = (1, 1000, 16 * 1024, 300_000, 3_000_000)

pytestmark = [pytest.mark.plugins, pytest.mark.slow, needs_root]


class Store:
    """A tracking server, and the container that has its artifacts on a disk of its own."""

    def __init__(self, disk: Path, replica: Container, server: Container) -> None:
        self.disk = disk
        self.replica = replica
        self.server = server
        self.wait()

    def wait(self) -> None:
        """Wait until the tracking server answers."""

        def is_ready() -> bool:
            return execute(self.replica, "ready").returncode == 0

        wait_until(is_ready, START_SECONDS, "the server answers")

    def url(self) -> str:
        """Return the address of the artifacts; another one after each start."""
        self.replica.reload()
        published: Any = self.replica.ports
        port = published["5000/tcp"][0]["HostPort"]
        return f"http://127.0.0.1:{port}/api/2.0/mlflow-artifacts/artifacts"

    def files(self) -> dict[str, str]:
        """Return the digest of each file but drafts, by its name, from the disk itself."""
        with mounted(self.disk) as root:
            return {
                str(file.relative_to(root)): digest(file.read_bytes())
                for file in root.rglob("*")
                if file.is_file() and not file.name.startswith(".artifact.uploading.")
            }


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def write(url: str, ledger: Ledger, client: int, seed: str, end: threading.Event) -> None:
    """Put, overwrite and delete, one after the other, until the end, whatever fails."""
    chance = random.Random(f"{seed}-{client}")
    failed = 0
    with requests.Session() as session:
        for number in range(10**9):
            if end.is_set():
                return
            # No key again after a failure: what failed may still be done, at any time.
            run = f"{seed}-{client}-{number // 5}-{failed}"
            key = f"{run}/artifacts/{chance.choice(['model', 'data/sub'])}/{chance.randrange(3)}"
            delete = chance.random() < 0.1
            content = chance.randbytes(chance.choice(SIZES))
            value = None if delete else digest(content)
            ledger.attempt(key, value)
            try:
                if delete:
                    answer = session.delete(f"{url}/{key}", timeout=ANSWER_SECONDS)
                else:
                    answer = session.put(f"{url}/{key}", content, timeout=ANSWER_SECONDS)
                answer.raise_for_status()
            except requests.RequestException:
                failed += 1
                end.wait(REFUSED_SECONDS)
            else:
                ledger.acknowledge(key, value)


def fail_once(store: Store, seed: str, *, frozen: bool = False) -> Outcome:
    """Load the tracking server, cut the power of the disk, start its server again, and compare.

    A server that is `frozen` before says nothing of the cut: its clients ask again, and what they
    are told afterwards counts, too.
    """
    ledger = Ledger(store.files())
    end = threading.Event()
    arguments = [(store.url(), ledger, client, seed, end) for client in range(CLIENTS)]
    clients = [threading.Thread(target=write, args=given) for given in arguments]
    for client in clients:
        client.start()
    wait_until(lambda: ledger.acknowledged(math.inf) > LEAST, START_SECONDS, "there is load")
    after = random.Random(seed).uniform(0, 3)
    time.sleep(after)
    if frozen:
        pause(store.server)
    cut = cut_power(store.disk, store.server)
    before = ledger.acknowledged(cut)
    store.server.start()
    store.wait()
    if frozen:
        cut = math.inf
        wait_until(lambda: ledger.acknowledged(cut) > before, ANSWER_SECONDS, "clients go on")
    end.set()
    for client in clients:
        client.join()
    return Outcome(after, ledger.acknowledged(cut), ledger.broken(store.files(), cut))


@contextlib.contextmanager
def on_a_volume(
    sandbox: Sandbox, disk: Path, arguments: Sequence[str] = (OURS,), **options: Any
) -> Iterator[Store]:
    """A tracking server with its artifacts on a volume."""
    format_disk(disk, SIZE, OWNER)
    environment = ENVIRONMENT | options.pop("environment", {})
    with disk_volume(sandbox, disk) as volume:
        replica = sandbox.run(
            build(sandbox.client, "mlflow"),
            [*SERVER, *arguments],
            init=True,
            environment=environment,
            volumes=[f"{volume}:{FOLDER}"],
            ports=PORTS,
            **options,
        )
        try:
            yield Store(disk, replica, replica)
        finally:
            replica.remove(force=True)


@contextlib.contextmanager
def on_nfs(sandbox: Sandbox, disk: Path, **options: Any) -> Iterator[Store]:
    """A tracking server that mounts an NFS server's export."""
    format_disk(disk, SIZE, OWNER)
    with disk_volume(sandbox, disk) as volume:
        image = build(sandbox.client, "nfs")
        server = NfsServer(sandbox, image, host="disk-nfs", volume=volume, **options)
        try:
            client = NfsClient(
                sandbox,
                build(sandbox.client, "mlflow"),
                server.wait(),
                *SERVER,
                OURS,
                environment=ENVIRONMENT,
                ports=PORTS,
            )
            yield Store(disk, client.container, server.container)
            client.container.remove(force=True)
        finally:
            server.container.remove(force=True)


STORES = {"volume": on_a_volume, "nfs": on_nfs}


@pytest.mark.parametrize("kind", STORES)
def test_acknowledged_artifacts_are_on_the_disk(
    sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    with STORES[kind](sandbox, tmp_path / kind) as store:
        for number in range(CUTS):
            frozen = kind == "nfs" and number % 2 == 1
            outcome = fail_once(store, f"{kind}-{number}", frozen=frozen)
            print(f"{kind}{', frozen before' * frozen}: {outcome}")
            assert outcome.broken == {}


@pytest.mark.parametrize("kind", STORES)
def test_the_last_thing_that_was_acknowledged_is_on_the_disk(
    sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    """With nobody else at work, whose writes would take it along."""
    with STORES[kind](sandbox, tmp_path / kind) as store:
        for last in ("put", "overwrite", "delete"):
            expected, found = one_thing(store, last)
            print(f"{kind}: power cut after the answer to {last}")
            assert found == expected, last


def one_thing(store: Store, what: str) -> tuple[dict[str, str], dict[str, str]]:
    """Do one thing and cut the power; returns the files that are expected, and those there."""
    expected = store.files()
    if what == "delete":
        del expected[KEY]
        answer = requests.delete(f"{store.url()}/{KEY}", timeout=ANSWER_SECONDS)
    else:
        expected[KEY] = digest(what.encode())
        answer = requests.put(f"{store.url()}/{KEY}", what.encode(), timeout=ANSWER_SECONDS)
    answer.raise_for_status()
    cut_power(store.disk, store.server)
    store.server.start()
    store.wait()
    return expected, store.files()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        pytest.param("volume", {"security_opt": [NO_SYNC]}, id="volume: fsync does nothing"),
        pytest.param(
            "volume",
            {"arguments": (), "environment": {"PYTHONPATH": ""}},
            id="volume: MLflow's own store",
        ),
        pytest.param("nfs", {"security_opt": [NO_SYNC]}, id="nfs: fsync does nothing"),
    ],
)
def test_a_store_that_does_not_wait_for_the_disk_is_caught(
    sandbox: Sandbox,
    tmp_path: Path,
    request: pytest.FixtureRequest,
    kind: str,
    options: dict[str, Any],
) -> None:
    """In some cut: a busy machine may have written all back by itself just before one."""
    broken: set[str] = set()
    with STORES[kind](sandbox, tmp_path / "disk", **options) as store:
        for number in range(CUTS):
            outcome = fail_once(store, f"controls-{number}")
            print(f"{request.node.callspec.id}: {outcome}")
            broken |= set(outcome.broken.values())
            if {"lost", "not as it was written"} & broken:
                return
    pytest.fail(f"nothing was lost in {CUTS} cuts: {broken}")


def test_names_that_are_not_synchronous_are_caught(sandbox: Sandbox, tmp_path: Path) -> None:
    """What the NFS server's entrypoint is for: without it, data stays, and its name does not."""
    nothing = tmp_path / "chattr"
    nothing.write_text("#!/bin/sh\n")
    nothing.chmod(0o755)
    mounted = f"{nothing}:/usr/local/bin/chattr:ro"
    with on_nfs(sandbox, tmp_path / "disk", volumes=[mounted]) as store:
        expected, found = one_thing(store, "put")
    assert set(expected) == {KEY}
    assert found == {}
