"""The tracking API of our layout beside a deployment of the defaults, in one run.

    python -m scripts.benchmarks.tracking [--profile quick|full] [--seconds S] [--rounds N]
                                        [--json FILE]

Both are two replicas behind nginx, on PostgreSQL, from the same images on this machine: one with
the settings of `infra/`, one with none (four workers a replica, a pool of 5 + 10 connections, 100
connections in PostgreSQL, a plain proxy_pass). Each round deploys one after the other on an empty
database, in alternating order. Each step lets N clients repeat one operation back to back: the
first as soon as the replicas are ready (`at start`), the others when they are idle. Neither
weakens durability: that is asked of the running PostgreSQL.

Figures are pooled over the rounds. Latencies are those of good answers to requests started within
a step, however late they came; errors are counted by status. A p99 from fewer than 1,000 answers is
marked with `~`. Memory is what is not a cache of files, of the larger replica, after the load.

Exit status: 0 every objective is met, 1 one is not, 2 it could not run.
"""

import argparse
import asyncio
import dataclasses
import json
import math
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import docker
from docker.errors import DockerException

from infra.image.build import build as build_image
from scripts.benchmarks.tracking_layouts import (
    DEFAULTS,
    TUNED,
    Deployment,
    Images,
    Layout,
    deployed,
    null_server,
)
from scripts.benchmarks.tracking_load import OPERATIONS, Step, load, seed, settle

ROOT = Path(__file__).parents[2]
CLIENTS = (8, 64, 128, 256)
DURABILITY = ("fsync", "synchronous_commit", "full_page_writes")
LEAST_FOR_P99 = 1000
AT_START = "at start"
"""Log-batch while the defaults' job consumers still start: what someone sees who does not wait."""


@dataclass(frozen=True)
class Profile:
    """How much is measured."""

    rounds: int
    seconds: float
    operations: Sequence[str]


PROFILES = {
    "quick": Profile(rounds=2, seconds=12, operations=("log-batch",)),
    "full": Profile(rounds=3, seconds=40, operations=OPERATIONS),
}


@dataclass
class Seen:
    """All that was seen of one layout."""

    steps: dict[tuple[str, int], Step] = field(default_factory=dict)
    ready: list[float] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)

    def add(self, step: Step) -> None:
        """Pool a step with those of earlier rounds."""
        key = step.operation, step.clients
        known = self.steps.setdefault(key, Step(step.operation, step.clients, 0))
        known.seconds += step.seconds
        known.answered += step.answered
        known.latencies += step.latencies
        known.errors += step.errors

    def rate(self, operation: str, clients: int) -> float:
        """Return good answers a second."""
        step = self.steps[operation, clients]
        return step.answered / step.seconds

    def percentile(self, operation: str, clients: int, share: float) -> float:
        """Return the smallest latency, in seconds, that `share` of the answers do not exceed."""
        ordered = sorted(self.steps[operation, clients].latencies)
        return ordered[math.ceil(share * len(ordered)) - 1] if ordered else math.nan


@dataclass(frozen=True)
class Objective:
    """A figure and the limit that it is to keep."""

    what: str
    figure: float
    bound: float
    at_most: bool = False

    @property
    def met(self) -> bool:
        """Say whether it is; a figure that is not a number is not."""
        return self.figure <= self.bound if self.at_most else self.figure >= self.bound


def measure(
    client: docker.DockerClient, images: Images, layout: Layout, profile: Profile, seen: Seen
) -> None:
    """Deploy a layout, load it step by step, and add what was seen to `seen`."""
    with deployed(client, images, layout) as deployment:
        check_durability(layout, deployment)
        seen.ready.append(deployment.ready_seconds)
        fresh = asyncio.run(
            load(deployment.address, "log-batch", CLIENTS[0], profile.seconds, ("0", []))
        )
        fresh.operation = AT_START
        seen.add(fresh)
        say(f"{layout.name}: {AT_START}: {fresh.answered / fresh.seconds:.1f}/s")
        deployment.wait_until_idle()
        seen.idle.append(max(deployment.memory()))
        say(f"{layout.name}: ready in {deployment.ready_seconds:.1f} s")
        seeded = asyncio.run(seed(deployment.address))
        for operation in profile.operations:
            for clients in CLIENTS:
                asyncio.run(settle(deployment.address))
                step = asyncio.run(
                    load(deployment.address, operation, clients, profile.seconds, seeded)
                )
                seen.add(step)
                say(
                    f"{layout.name}: {operation} by {clients}: "
                    f"{step.answered / step.seconds:.1f}/s {dict(step.errors) or ''}"
                )
        seen.memory.append(max(deployment.memory()))


def check_durability(layout: Layout, deployment: Deployment) -> None:
    """Raise `RuntimeError` when a layout would lose what it acknowledged."""
    for name in DURABILITY:
        if (value := deployment.setting(name)) != "on":
            raise RuntimeError(f"{layout.name}: {name} is {value}: nothing is compared that way")


def objectives(ours: Seen, theirs: Seen) -> Iterator[Objective]:
    """Yield the objectives of log-batch, memory and start; docs/benchmarks.md has them too."""
    name = "log-batch"

    def ratio(clients: int) -> float:
        other = theirs.rate(name, clients)
        return ours.rate(name, clients) / other if other else math.inf

    yield Objective(
        "throughput at 8 as soon as ready, ratio",
        ours.rate(AT_START, 8) / max(theirs.rate(AT_START, 8), 1e-9),
        2.5,
    )
    peak = max(ours.rate(name, clients) for clients in CLIENTS)
    yield Objective("throughput at 8, ratio", ratio(8), 2.5)
    yield Objective("throughput at 64, ratio", ratio(64), 6)
    p99 = ours.percentile(name, 64, 0.99) / theirs.percentile(name, 64, 0.99)
    yield Objective("p99 at 64, ratio", p99, 0.05, at_most=True)
    for clients in (128, 256):
        yield Objective(f"throughput at {clients} / peak", ours.rate(name, clients) / peak, 0.9)
    errors = sum(step.errors.total() for step in ours.steps.values())
    yield Objective("errors of ours", errors, 0, at_most=True)
    memory = max(ours.memory) / max(theirs.memory)
    yield Objective("memory of a replica, ratio", memory, 0.17, at_most=True)
    ready = sum(ours.ready) / sum(theirs.ready)
    yield Objective("time to ready, ratio", ready, 0.5, at_most=True)


def table(layouts: dict[str, Seen]) -> Iterator[str]:
    """Yield the lines of the table."""
    head = f"{'operation':12}{'clients':>8} {'layout':10}"
    yield f"{head}{'rate/s':>8}{'p50 ms':>9}{'p99 ms':>10} errors"
    for operation, clients in layouts[TUNED.name].steps:
        for name, seen in layouts.items():
            step = seen.steps[operation, clients]
            mark = "" if len(step.latencies) >= LEAST_FOR_P99 else "~"
            p50, p99 = (seen.percentile(operation, clients, share) * 1e3 for share in (0.5, 0.99))
            errors = " ".join(f"{count}x{status}" for status, count in step.errors.items()) or "-"
            yield (
                f"{operation:12}{clients:>8} {name:10}{seen.rate(operation, clients):>8.1f}"
                f"{p50:>9.0f}{mark + format(p99, '.0f'):>10} {errors}"
            )
        ratio = layouts[TUNED.name].rate(operation, clients) / max(
            layouts[DEFAULTS.name].rate(operation, clients), 1e-9
        )
        yield f"{'':20} {'ratio':10}{ratio:>8.2f}"
    for name, seen in layouts.items():
        yield (
            f"{name}: ready in {' '.join(f'{s:.1f}' for s in seen.ready)} s; a replica takes "
            f"{' '.join(str(b >> 20) for b in seen.idle)} MiB when ready, "
            f"{' '.join(str(b >> 20) for b in seen.memory)} MiB after the load"
        )


def record(layouts: dict[str, Seen], judged: Sequence[Objective]) -> dict[str, object]:
    """Return everything as JSON, with the latencies as percentiles."""
    return {
        "cores": os.cpu_count(),
        "objectives": [
            dataclasses.asdict(objective) | {"met": objective.met} for objective in judged
        ],
        "layouts": {
            name: {
                "ready_seconds": seen.ready,
                "idle_bytes": seen.idle,
                "memory_bytes": seen.memory,
                "steps": [
                    {
                        "operation": operation,
                        "clients": clients,
                        "rate": seen.rate(operation, clients),
                        "answers": len(step.latencies),
                        "errors": Counter(step.errors),
                    }
                    | {
                        f"p{share * 100:g}_seconds": seen.percentile(operation, clients, share)
                        for share in (0.5, 0.95, 0.99)
                    }
                    for (operation, clients), step in seen.steps.items()
                ],
            }
            for name, seen in layouts.items()
        },
    }


def build(client: docker.DockerClient) -> Images:
    """Build the images as a stack does."""
    return Images(
        postgres=build_image(client, "postgres"),
        mlflow=build_image(client, "mlflow"),
        nginx=build_image(client, "nginx"),
    )


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def stop(*_: object) -> None:
    """Let a termination signal do as Ctrl-C does, which asyncio ends in order."""
    signal.raise_signal(signal.SIGINT)


def main() -> int:
    """Measure, print the table and the objectives."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--profile", choices=PROFILES, default="quick")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--seconds", type=float, help="of each step, instead of the profile's")
    parser.add_argument("--rounds", type=int, help="instead of the profile's")
    arguments = parser.parse_args()
    profile = PROFILES[arguments.profile]
    overrides = {"seconds": arguments.seconds, "rounds": arguments.rounds}
    if any(value is not None and value < 1 for value in overrides.values()):
        parser.error("--seconds and --rounds: give at least 1")
    profile = dataclasses.replace(profile, **{k: v for k, v in overrides.items() if v is not None})
    signal.signal(signal.SIGTERM, stop)
    chosen = [TUNED, DEFAULTS]
    layouts = {layout.name: Seen() for layout in chosen}
    try:
        client = docker.from_env(timeout=600)
        images = build(client)
        with null_server(client, images) as address:
            ceiling = asyncio.run(load(address, "get-run", 64, 3, ("0", ["none"])))
        say(f"ceiling of the load generator: {ceiling.answered / ceiling.seconds:.0f} requests/s")
        for number in range(profile.rounds):
            for layout in chosen if number % 2 == 0 else reversed(chosen):
                measure(client, images, layout, profile, layouts[layout.name])
    except (DockerException, RuntimeError, AssertionError) as error:
        print(f"tracking benchmark: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tracking benchmark: interrupted; everything is removed", file=sys.stderr)
        return 2
    print("\n".join(table(layouts)))
    judged = list(objectives(layouts[TUNED.name], layouts[DEFAULTS.name]))
    for objective in judged:
        sign = "<=" if objective.at_most else ">="
        mark = "ok " if objective.met else "NOT"
        print(f"{mark} {objective.what}: {objective.figure:.3f} ({sign} {objective.bound})")
    if arguments.json:
        arguments.json.write_text(json.dumps(record(layouts, judged), indent=1))
    return 0 if all(objective.met for objective in judged) else 1


if __name__ == "__main__":
    sys.exit(main())
