"""Measure artifacts through a stack's own address and by presigned URL beside bare S3.

    python -m scripts.benchmarks.artifacts --engines minio seaweedfs

Deploys `multi-az` with presigned access for each engine in turn, and moves files of random bytes:

- `bare`: one PutObject or GetObject of the store, by `requests`, the library of MLflow's client
- `server`: one PUT or GET through the load balancer and a replica, as the client sends it
- `client`: MLflow's client through the server, with the calls that it makes around that
- `url`: one PUT or GET by a presigned URL of the server, with the requests for that URL
- `presigned`: MLflow's client past the server, in parts by such URLs

All from this process, on ports of the same machine, from and to memory. A round has every size; a
size has every way in a random order and the bare one twice, which shows how much two measurements
of the same thing differ here. Ratios are to the bare throughput of the same round; what is given
is their median. The content is compared after every download.

Before that, each way moves each size once as warm-up, while the memory of the replicas is sampled:
what is not a cache of files. Not in a round, as asking the engine for it takes processor time.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import signal
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from configparser import ConfigParser
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import boto3  # type: ignore[import-untyped]
import docker
import requests
from botocore.config import Config  # type: ignore[import-untyped]
from docker.models.containers import Container

os.environ["MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR"] = "false"

import mlflow

from infra.components.object_store import BUCKET
from infra.specification.values import S3Engine
from tests.e2e.artifacts import ROUTE, memory
from tests.e2e.stack import Stack, end, new_stack
from tests.ports import free_port

KIB, MIB = 2**10, 2**20
NAME = "bench-artifacts"
SAMPLES_PER_SECOND = 5
CHUNK = MIB
"""Bytes that a bare download takes at once, as MLflow's client does."""


@dataclass(frozen=True)
class Case:
    """So many files of a size, one after the other."""

    size: int
    files: int

    @property
    def name(self) -> str:
        return f"{self.size // MIB} MiB" if self.size >= MIB else f"{self.size // KIB} KiB"


CASES = (
    Case(16 * KIB, 20),
    Case(MIB, 20),
    Case(32 * MIB, 8),
    Case(256 * MIB, 1),
    Case(1024 * MIB, 1),
)


class Way(Protocol):
    """One way to move a file from this process to the store and back."""

    def upload(self, source: Path) -> None: ...

    def download(self, name: str, folder: Path) -> Path: ...


class Request:
    """One request for a file, to an address that `url` returns for a method and a name."""

    def __init__(
        self, url: Callable[[str, str], str], session: requests.Session | None = None
    ) -> None:
        self.url = url
        self.session = session or requests.Session()

    def upload(self, source: Path) -> None:
        with source.open("rb") as file:
            url = self.url("put", source.name)
            self.session.put(url, data=file, timeout=600).raise_for_status()

    def download(self, name: str, folder: Path) -> Path:
        target = folder / name
        url = self.url("get", name)
        with self.session.get(url, stream=True, timeout=600) as answer, target.open("wb") as file:
            answer.raise_for_status()
            for chunk in answer.iter_content(CHUNK):
                file.write(chunk)
        return target


class SignedUrl:
    """One request for a file, to an address that the server signs: an upload of a single part."""

    def __init__(self, uri: str) -> None:
        self.api = f"{uri}{ROUTE.removesuffix('/artifacts')}"
        self.session = requests.Session()

    def _ask(self, step: str, body: dict[str, Any]) -> Any:
        answer = self.session.post(f"{self.api}/mpu/{step}/url", json=body, timeout=60)
        answer.raise_for_status()
        return answer.json()

    def upload(self, source: Path) -> None:
        started = self._ask("create", {"path": source.name, "num_parts": 1})
        [part] = started["credentials"]
        with source.open("rb") as file:
            stored = self.session.put(part["url"], data=file, timeout=600)
        stored.raise_for_status()
        parts = [{"part_number": 1, "etag": stored.headers["ETag"], "url": part["url"]}]
        end = {"path": source.name, "upload_id": started["upload_id"], "parts": parts}
        self._ask("complete", end)

    def download(self, name: str, folder: Path) -> Path:
        signed = self.session.get(f"{self.api}/presigned/url/{name}", timeout=60)
        signed.raise_for_status()
        return Request(lambda *_: str(signed.json()["url"]), self.session).download(name, folder)


class Client:
    """The real client, told by its own settings which way to take."""

    def __init__(self, uri: str, settings: Mapping[str, str]) -> None:
        self.settings = settings
        self.client = mlflow.MlflowClient(uri)
        self.run = self.client.create_run("0").info.run_id

    @contextlib.contextmanager
    def _set(self) -> Iterator[None]:
        os.environ.update(self.settings)
        try:
            yield
        finally:
            for name in self.settings:
                del os.environ[name]

    def upload(self, source: Path) -> None:
        with self._set():
            self.client.log_artifact(self.run, str(source))

    def download(self, name: str, folder: Path) -> Path:
        with self._set():
            return Path(self.client.download_artifacts(self.run, name, str(folder)))


THROUGH_SERVER = {
    "MLFLOW_ENABLE_PROXY_MULTIPART_UPLOAD": "false",
    "MLFLOW_ENABLE_PROXY_MULTIPART_DOWNLOAD": "false",
}
# The client's default is 500 MB, which leaves smaller uploads with the server; S3 takes no parts
# below 5 MiB, so files of up to one part are not sent in parts by either.
PRESIGNED = {"MLFLOW_MULTIPART_UPLOAD_MINIMUM_FILE_SIZE": str(11 * 10**6)}


class Sampler:
    """Samples the memory of containers that is not a cache of files, in bytes."""

    def __init__(self, containers: list[Container]) -> None:
        self.containers = containers
        self.peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self.peak = max(self.peak, *(memory(container) for container in self.containers))
            if self._ended.wait(1 / SAMPLES_PER_SECOND):
                return


def processor_seconds(container: Container) -> float:
    """Return the seconds of processor time that a container has used."""
    stats: Any = container.stats(stream=False, one_shot=True)
    return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9


class Deployed:
    """A deployed stack with what the measurement needs of it."""

    def __init__(self, stack: Stack, client: docker.DockerClient) -> None:
        outputs = stack.outputs()
        target = outputs["target"]
        self.uri = str(target["tracking_uri"])
        self.containers = {
            component["name"]: client.containers.get(component["container"])
            for component in target["components"]
        }
        self.replicas = [c for name, c in self.containers.items() if name.startswith("mlflow-")]
        self.endpoint = str(target["artifact_store"]["endpoint"])
        keys = ConfigParser()
        keys.read_string(outputs["audit_secrets"]["s3_credentials"])
        self.s3 = self._s3(
            keys["default"]["aws_access_key_id"], keys["default"]["aws_secret_access_key"]
        )
        code, root = self.containers["object-store"].exec_run(
            ["cat", "/run/secrets/object-store-root-password"]
        )
        assert code == 0
        assert isinstance(root, bytes)
        self.root = self._s3("root-admin", root.decode().strip())

    def _s3(self, user: str, password: str) -> Any:
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=user,
            aws_secret_access_key=password,
            config=Config(signature_version="s3v4"),
        )

    def signed(self, prefix: str, method: str, name: str) -> str:
        """Return a URL of the store; signing is local and takes no time of the store."""
        place = {"Bucket": BUCKET, "Key": f"{prefix}/{name}"}
        return str(self.s3.generate_presigned_url(f"{method}_object", Params=place))

    def ways(self) -> dict[str, Way]:
        return {
            "bare": Request(partial(self.signed, "bare")),
            "bare again": Request(partial(self.signed, "bare-again")),
            "server": Request(lambda _, name: f"{self.uri}{ROUTE}/server/{name}"),
            "client": Client(self.uri, THROUGH_SERVER),
            "url": SignedUrl(self.uri),
            "presigned": Client(self.uri, PRESIGNED),
        }

    def clear(self) -> None:
        """Remove every version, so that the volume does not fill."""
        for page in self.root.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
            if versions := page.get("Versions", []) + page.get("DeleteMarkers", []):
                objects = [
                    {key: version[key] for key in ("Key", "VersionId")} for version in versions
                ]
                self.root.delete_objects(Bucket=BUCKET, Delete={"Objects": objects, "Quiet": True})

    def processor_seconds(self) -> dict[str, float]:
        # At once: the engine takes a second or two for each.
        with ThreadPoolExecutor(len(self.containers)) as threads:
            used = threads.map(processor_seconds, self.containers.values())
            return dict(zip(self.containers, used, strict=True))


def measure(way: Way, sources: list[Path], target: Path) -> dict[str, float]:
    """Return the MiB/s up and down; exit when what comes down is not what went up."""
    size = sum(source.stat().st_size for source in sources) / MIB
    start = time.monotonic()
    for source in sources:
        way.upload(source)
    sent = time.monotonic()
    files = [way.download(source.name, target) for source in sources]
    received = time.monotonic()
    for source, file in zip(sources, files, strict=True):
        if digest(source) != digest(file):
            raise SystemExit(f"{type(way).__name__}: {source.name}: the content differs")
        file.unlink()
    return {"up": size / (sent - start), "down": size / (received - sent)}


def digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def sources_of(case: Case, folder: Path) -> list[Path]:
    """Write the files of a case, new ones each time."""
    sources = [folder / f"{case.size}-{number}.bin" for number in range(case.files)]
    for source in sources:
        with source.open("wb") as file:
            for _ in range(-(-case.size // MIB)):
                file.write(os.urandom(min(MIB, case.size)))
    return sources


def run(
    deployed: Deployed, cases: list[Case], rounds: int, seed: int
) -> dict[str, dict[str, dict[str, list[float]]]]:
    """Return, by case and way, `up` and `down` of each round in MiB/s, `memory` in MiB."""
    random_ = random.Random(seed)
    ways = deployed.ways()
    measured: dict[str, dict[str, dict[str, list[float]]]] = {}
    in_memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=in_memory if in_memory.is_dir() else None) as temporary:
        folder, target = Path(temporary), Path(temporary, "target")
        target.mkdir()
        for number in range(-1, rounds):
            for case in cases:
                sources = sources_of(case, folder)
                for name in random_.sample(list(ways), len(ways)):
                    values = measured.setdefault(case.name, {}).setdefault(name, {})
                    if number < 0:
                        with Sampler(deployed.replicas) as sampler:
                            measure(ways[name], sources, target)
                        deployed.clear()
                        values["memory"] = [sampler.peak / MIB]
                        continue
                    before = deployed.processor_seconds()
                    result = measure(ways[name], sources, target)
                    after = deployed.processor_seconds()
                    deployed.clear()
                    used = "  ".join(
                        f"{part} {after[part] - before[part]:.2f}"
                        for part in after
                        if after[part] - before[part] >= 0.05
                    )
                    print(
                        f"round {number + 1}/{rounds}  {case.name:8}  {name:10}  up"
                        f" {result['up']:7.1f}  down {result['down']:7.1f} MiB/s"
                        f"   processor s: {used}",
                        flush=True,
                    )
                    for kind, value in result.items():
                        values.setdefault(kind, []).append(value)
                for source in sources:
                    source.unlink()
    return measured


def ratio(values: list[float], base: list[float]) -> str:
    """Return the median of the rounds' ratios with their range."""
    ratios = [value / reference for value, reference in zip(values, base, strict=True)]
    return f"{statistics.median(ratios):5.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def table(measured: dict[str, dict[str, dict[str, list[float]]]]) -> Iterator[str]:
    """Yield the medians: bare throughput, ratios to it with their range, memory."""
    for case, ways in measured.items():
        for kind in ("up", "down"):
            bare = ways["bare"][kind]
            line = f"{case:8}  {kind:4}  bare {statistics.median(bare):7.1f} MiB/s"
            for name, values in ways.items():
                if name != "bare":
                    line += f"   {name} {ratio(values[kind], bare)}"
            yield line
    for name in ("server", "client", "presigned"):
        yield f"memory of a replica, {name}: " + ", ".join(
            f"{case} {max(ways[name]['memory']):.0f} MiB" for case, ways in measured.items()
        )


def main() -> int:
    """Measure each engine and print a table and one line of JSON with every value."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--engines", nargs="+", default=["minio"], choices=[*S3Engine])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--largest", type=int, default=1024, help="MiB of the largest file")
    options = parser.parse_args()
    cases = [case for case in CASES if case.size <= options.largest * MIB]
    if options.rounds < 1 or not cases:
        parser.error("--rounds and --largest: give at least 1")
    # Asked to end, as by a time limit, it still removes what it deployed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    client = docker.from_env()
    results = {}
    for engine in options.engines:
        with tempfile.TemporaryDirectory() as temporary:
            stack = new_stack(NAME, Path(temporary))
            stack.configure(
                zones=2,
                artifacts="s3",
                s3_engine=str(engine),
                presigned=True,
                s3_port=free_port(),
            )
            try:
                stack.up()
                results[engine] = run(Deployed(stack, client), cases, options.rounds, options.seed)
            finally:
                end(stack, client)
        print(f"{engine}\n" + "\n".join(table(results[engine])), flush=True)
    client.close()
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
