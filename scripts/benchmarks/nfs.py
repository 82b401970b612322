"""Measure artifacts through a stack's own address: NFS and S3 beside a local volume.

    python -m scripts.benchmarks.nfs --largest 256 --rounds 5
    python -m scripts.benchmarks.nfs --many 10000 --stores volume nfs

Deploys the stacks side by side: `nfs` and `s3` are `multi-az-nfs` and `multi-az`, two replicas
behind nginx; `volume` is one replica with a volume, behind the same nginx, so that nothing but the
artifact store differs on the way of a file. The real client moves files of random
bytes through each stack's address, one after the other, or `--many` files of 4 KiB as one folder.
`volume again` is the first stack measured a second time: how much two measurements of the same
thing differ here. A round has every size; a size has every store in a random order. Ratios are to
the volume of the same round; what is given is their median. Every download is compared.

Small files that the client made are removed at the end only: where ext4 has removed many, it takes
up to a millisecond longer to make one, for minutes after.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import docker

from infra.components import nginx
from scripts.benchmarks.artifacts import (
    KIB,
    MIB,
    THROUGH_SERVER,
    Case,
    Client,
    digest,
    measure,
    ratio,
    sources_of,
)
from tests.e2e.extra_containers import ExtraContainers, place
from tests.e2e.stack import end, new_stack

STORES: dict[str, dict[str, object]] = {
    "volume": {"artifacts": "volume"},
    "nfs": {"artifacts": "nfs", "zones": 2},
    "s3": {"artifacts": "s3", "zones": 2},
}
CASES = (Case(MIB, 20), Case(8 * MIB, 8), Case(32 * MIB, 4), Case(256 * MIB, 1))
SMALL = 4 * KIB

Measured = dict[str, dict[str, dict[str, list[float]]]]
"""`[case][store][up|down]`: a value a round, in MiB/s or files/s."""


def deployed(
    stores: list[str], folder: Path, docker_client: docker.DockerClient, cleanup: ExitStack
) -> dict[str, Client]:
    """Deploy a stack for each of `stores`; return the real client of each."""
    addresses = {}
    for store in stores:
        (folder / store).mkdir()
        stack = new_stack(f"bench-nfs-{store}", folder / store)
        stack.configure(**STORES[store])
        cleanup.callback(end, stack, docker_client)
        stack.up()
        addresses[store] = stack.outputs()["tracking_uri"]
    other = next(store for store in stores if store != "volume")
    image = (
        ExtraContainers(docker_client, f"bench-nfs-{other}").of("nginx").attrs["Config"]["Image"]
    )
    volume = ExtraContainers(docker_client, "bench-nfs-volume")
    cleanup.callback(volume.close)
    replica = place(volume.of("mlflow-a-1"), "mlflow-a-1")
    addresses["volume"] = volume.balancer("nginx", nginx.configuration((replica,)), image)
    return {store: Client(uri, THROUGH_SERVER) for store, uri in addresses.items()}


def measure_many(client: Client, source: Path, target: Path) -> dict[str, float]:
    """Return the files/s of a folder of small files up and down, compared."""
    names = sorted(path.relative_to(source) for path in source.rglob("*") if path.is_file())
    start = time.monotonic()
    client.client.log_artifacts(client.run, str(source), "many")
    sent = time.monotonic()
    downloaded = Path(client.client.download_artifacts(client.run, "many", str(target)))
    received = time.monotonic()
    if any(digest(source / name) != digest(downloaded / name) for name in names):
        raise SystemExit("the content differs")
    return {"up": len(names) / (sent - start), "down": len(names) / (received - sent)}


def rounds_of(
    clients: dict[str, Client],
    cases: list[Case],
    many: int,
    rounds: int,
    seed: int,
    at_the_end: ExitStack,
) -> Measured:
    """Measure every case in every store; the first round, without the largest, is warm-up."""
    random_ = random.Random(seed)
    ways = {**clients, "volume again": clients["volume"]}
    measured: Measured = {}
    for number in range(-1, rounds):
        for case in cases if number >= 0 else [case for case in cases if case.size <= 32 * MIB]:
            for name in random_.sample(list(ways), len(ways)):
                with ExitStack() as at_once:
                    temporary = (at_the_end if many else at_once).enter_context(
                        tempfile.TemporaryDirectory()
                    )
                    source, target = Path(temporary, "source"), Path(temporary, "target")
                    source.mkdir()
                    target.mkdir()
                    if many:
                        count = many if number >= 0 else min(many, 200)
                        for part in range(0, count, 500):
                            (source / str(part)).mkdir()
                            sources_of(Case(SMALL, min(500, count - part)), source / str(part))
                        result = measure_many(ways[name], source, target)
                    else:
                        result = measure(ways[name], sources_of(case, source), target)
                if number < 0:
                    continue
                print(
                    f"round {number + 1}/{rounds}  {case.name:8}  {name:12}"
                    f"  up {result['up']:7.1f}  down {result['down']:7.1f}",
                    flush=True,
                )
                for way, value in result.items():
                    measured.setdefault(case.name, {}).setdefault(name, {}).setdefault(
                        way, []
                    ).append(value)
    return measured


def table(measured: Measured, unit: str) -> Iterator[str]:
    """Yield the medians: throughput of the volume, and ratios to it with their range."""
    for case, stores in measured.items():
        for way in ("up", "down"):
            volume = stores["volume"][way]
            line = f"{case:8}  {way:4}  volume {statistics.median(volume):6.1f} {unit}"
            for name, values in stores.items():
                if name != "volume":
                    line += f"   {name} {ratio(values[way], volume)}"
            yield line


def main() -> int:
    """Measure, print a table and one line of JSON with every value."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--stores", nargs="+", default=[*STORES], choices=[*STORES])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--largest", type=int, default=256, help="MiB of the largest file")
    parser.add_argument("--many", type=int, default=0, help="files of 4 KiB, instead of the sizes")
    options = parser.parse_args()
    cases = [case for case in CASES if case.size <= options.largest * MIB]
    if options.rounds < 1 or options.many < 0 or not cases:
        parser.error("--rounds and --largest: give at least 1")
    if "volume" not in options.stores or len(options.stores) < 2:
        parser.error("--stores: give volume, and nfs or s3 beside it")
    if options.many:
        cases = [Case(SMALL, options.many)]
    client = docker.from_env()
    with tempfile.TemporaryDirectory() as temporary, ExitStack() as cleanup:
        clients = deployed(options.stores, Path(temporary), client, cleanup)
        measured = rounds_of(clients, cases, options.many, options.rounds, options.seed, cleanup)
    client.close()
    print("\n".join(table(measured, "files/s" if options.many else "MiB/s")))
    print(json.dumps(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
