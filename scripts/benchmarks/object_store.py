"""Measure the object stores against each other with boto3, as MLflow uses one.

    python -m scripts.benchmarks.object_store

Every engine runs in its own image, as a deployment runs it, with its durability on. A block
measures each case on every engine in a random order, and on the first one twice, which shows how
much two measurements of the same thing differ here. Ratios are to the first engine: throughputs
of the same block, their geometric mean and its 95 % interval by bootstrap over the blocks.
"""

import argparse
import hashlib
import json
import math
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from tests.images.object_store import BUCKET, ENGINES, ObjectStore, write_secrets
from tests.images.sandbox import Sandbox, build

KIB, MIB = 2**10, 2**20
AGAIN = f"{ENGINES[0].name} again"


@dataclass(frozen=True)
class Case:
    """So many objects of a size, by so many threads."""

    size: int
    objects: int
    threads: int = 1

    @property
    def name(self) -> str:
        size = f"{self.size // MIB} MiB" if self.size >= MIB else f"{self.size // KIB} KiB"
        return f"{size}, {self.threads} thread{'s' * (self.threads > 1)}"

    @property
    def unit(self) -> str:
        """What the case counts: small objects by number, large ones by volume."""
        return "MiB" if self.size >= MIB else "object"

    @property
    def work(self) -> float:
        """How many of the unit one pass over the objects is."""
        return self.size * self.objects / MIB if self.size >= MIB else self.objects


CASES = (
    Case(16 * KIB, 100),
    Case(16 * KIB, 400, threads=8),
    Case(MIB, 30),
    Case(32 * MIB, 3),
    Case(256 * MIB, 1),
    Case(1024 * MIB, 1),
)


class Contestant:
    """A running engine with what it used."""

    def __init__(self, store: ObjectStore) -> None:
        self.store = store
        self.client = store.client()
        self.root = store.root()
        self.peak = self.memory()
        self.idle = self.peak

    def memory(self) -> int:
        """Return the bytes of memory that are not a cache of files."""
        stats: Any = self.store.container.stats(stream=False, one_shot=True)
        details = stats["memory_stats"]["stats"]
        return int(details.get("rss", details.get("anon", 0)))

    def processor_seconds(self) -> float:
        stats: Any = self.store.container.stats(stream=False, one_shot=True)
        return float(stats["cpu_stats"]["cpu_usage"]["total_usage"]) / 1e9

    def measure(self, case: Case, source: Path, target: Path) -> dict[str, float]:
        """Put and get; return units/s of each, and the server's processor ms for a unit of both."""
        keys = [f"{case.size}/{number}" for number in range(case.objects)]
        digest = hashlib.sha256(source.read_bytes()).digest()

        def put(key: str) -> None:
            self.client.upload_file(str(source), BUCKET, key)

        def get(key: str) -> None:
            self.client.download_file(BUCKET, key, str(target / key.replace("/", "-")))

        before = self.processor_seconds()
        put_seconds = timed(put, keys, case.threads)
        get_seconds = timed(get, keys, case.threads)
        used = self.processor_seconds() - before
        self.peak = max(self.peak, self.memory())
        for file in target.iterdir():
            if hashlib.sha256(file.read_bytes()).digest() != digest:
                raise SystemExit(f"{self.store.engine.name}: {case.name}: the content differs")
            file.unlink()
        self.clear()
        return {
            "put": case.work / put_seconds,
            "get": case.work / get_seconds,
            "cpu": 1000 * used / case.work,
        }

    def clear(self) -> None:
        """Remove every version, so that the volume does not fill."""
        pages = self.root.get_paginator("list_object_versions").paginate(Bucket=BUCKET)
        for page in pages:
            if versions := page.get("Versions", []) + page.get("DeleteMarkers", []):
                objects = [
                    {name: version[name] for name in ("Key", "VersionId")} for version in versions
                ]
                self.root.delete_objects(Bucket=BUCKET, Delete={"Objects": objects, "Quiet": True})


def timed(action: Callable[[str], None], keys: list[str], threads: int) -> float:
    """Return the seconds that the action takes for all keys."""
    with ThreadPoolExecutor(threads) as pool:
        start = time.monotonic()
        list(pool.map(action, keys))
        return time.monotonic() - start


@contextmanager
def contestants(folder: Path) -> Iterator[tuple[dict[str, Contestant], dict[str, float]]]:
    """Give the running engines and their seconds from start to ready."""
    with ExitStack() as stack:
        client = docker.from_env(timeout=3600)
        stack.callback(client.close)
        images = {engine: build(client, engine.name) for engine in ENGINES}
        sandbox = Sandbox(client, folder)
        stack.callback(sandbox.close)
        secrets = write_secrets(folder / "secrets")
        ready, running = {}, {}
        for engine, image in images.items():
            start = time.monotonic()
            store = ObjectStore(sandbox, engine, image, secrets).wait()
            ready[engine.name] = time.monotonic() - start
            running[engine.name] = Contestant(store)
        running[AGAIN] = running[ENGINES[0].name]
        yield running, ready


def interval(ratios: list[float], random_: random.Random) -> tuple[float, float, float]:
    """Return the geometric mean and its 95 % interval (percentile bootstrap, 5,000 samples)."""
    logs = [math.log(ratio) for ratio in ratios]
    means = sorted(statistics.fmean(random_.choices(logs, k=len(logs))) for _ in range(5000))
    return math.exp(statistics.fmean(logs)), math.exp(means[125]), math.exp(means[4874])


def run(cases: list[Case], blocks: int, seed: int) -> dict[str, Any]:
    """Measure everything; returns `measured[case][contestant][put|get|cpu]`, a value a block."""
    random_ = random.Random(seed)
    measured: dict[str, dict[str, dict[str, list[float]]]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        target = folder / "target"
        target.mkdir()
        with contestants(folder) as (running, ready):
            for block in range(-1, blocks):
                for case in cases if block >= 0 else cases[:1]:
                    source = folder / "source"
                    with source.open("wb") as file:
                        for _ in range(-(-case.size // MIB)):
                            file.write(os.urandom(min(MIB, case.size)))
                    for name in random_.sample(list(running), len(running)):
                        result = running[name].measure(case, source, target)
                        # The first block, of one case, is warm-up.
                        if block >= 0:
                            print(f"block {block + 1}/{blocks}  {case.name:18} {name:12}", end="")
                            print("".join(f"  {k} {v:8.2f}" for k, v in result.items()), flush=True)
                            of_case = measured.setdefault(case.name, {}).setdefault(name, {})
                            for kind, value in result.items():
                                of_case.setdefault(kind, []).append(value)
            memory = {
                name: {"idle": contestant.idle / MIB, "peak": contestant.peak / MIB}
                for name, contestant in running.items()
                if name != AGAIN
            }
    return {"measured": measured, "seconds to ready": ready, "memory, MiB": memory, "seed": seed}


def table(result: dict[str, Any]) -> Iterator[str]:
    random_ = random.Random(result["seed"])
    first = ENGINES[0].name
    yield f"{'':33} {first:>10}   ratios to it, with their 95 % interval"
    for case, engines in result["measured"].items():
        unit = next(known.unit for known in CASES if known.name == case)
        rate = "MiB/s" if unit == "MiB" else "objects/s"
        for kind, of in (("put", rate), ("get", rate), ("cpu", f"ms/{unit}")):
            base = engines[first][kind]
            line = f"{case:18} {kind} {of:10} {statistics.median(base):10.2f}"
            for name, values in engines.items():
                if name != first:
                    ratios = [a / b for a, b in zip(values[kind], base, strict=True)]
                    mean, low, high = interval(ratios, random_)
                    line += f"   {name} {mean:5.2f} ({low:.2f} to {high:.2f})"
            yield line
    for title in ("seconds to ready", "memory, MiB"):
        yield f"{title}: {json.dumps(result[title], default=str)}"


def main() -> int:
    """Measure, print the table and one line of JSON with every value."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--blocks", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--largest", type=int, default=1024, help="MiB of the largest object")
    options = parser.parse_args()
    cases = [case for case in CASES if case.size <= options.largest * MIB]
    if options.blocks < 1 or not cases:
        parser.error("--blocks and --largest: give at least 1")
    result = run(cases, options.blocks, options.seed)
    print("\n".join(table(result)))
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
