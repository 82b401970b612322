"""64 clients at a stack on the test cluster while it is scaled and updated: does a request fail?

    python -m scripts.benchmarks.kubernetes [--clients 64] [--seconds 20]

Each client repeats log-batch (ten metrics, a parameter, a tag) on a connection that it keeps, back
to back and without retries: first at two replicas as they are, then while a step changes the stack
and until it has settled. A request fails that is not answered with 200. Afterwards every step that
was acknowledged is looked for. It needs the test cluster (`scripts/offline/cluster up`), and
deploys and removes a stack of its own.

Exit status: 0 no request failed and nothing is lost, 1 otherwise.
"""

import argparse
import asyncio
import io
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import docker

from infra.specification.cluster import TEST_CONTEXT
from scripts.benchmarks.tracking_load import Tracking, log_batch, tracking
from scripts.offline.test_cluster import images
from tests.e2e.stack import Stack, new_stack

OTHER_IMAGE = "mlflow-bench/benchmark-other:1"
SETTLE_SECONDS = 15
"""After a step, until the pods that it took out have ended."""


@dataclass
class Seen:
    """What the clients saw in one step."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)


class Clients:
    """Clients in a thread of their own; each knows the last step of its run that was answered."""

    def __init__(self, address: str, number: int) -> None:
        self._address = address
        self.acknowledged = [0] * number
        self.runs: list[str] = []
        self.seen = Seen()
        self._over = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._load()))

    def during(self, work: Callable[[], object]) -> Seen:
        """Return what was seen while `work` was done."""
        if not self._thread.is_alive():
            self._thread.start()
            while not any(self.acknowledged):
                time.sleep(0.1)
        self.seen = seen = Seen()
        began = time.monotonic()
        work()
        seen.seconds = time.monotonic() - began
        return seen

    def end(self) -> int:
        """Stop, and return how many acknowledged steps are not there."""
        self._over.set()
        self._thread.join()
        return asyncio.run(self._lost())

    async def _load(self) -> None:
        async with tracking(self._address) as api:
            self.runs = [await api.create_run("0") for _ in self.acknowledged]
            await asyncio.gather(*(self._client(api, n) for n in range(len(self.runs))))

    async def _client(self, api: Tracking, number: int) -> None:
        step = 0
        while not self._over.is_set():
            step += 1
            began = time.monotonic()
            status, _ = await api.send(log_batch(self.runs[number], step))
            if status == "200":
                self.acknowledged[number] += 1
                self.seen.latencies.append(time.monotonic() - began)
            else:
                self.seen.errors[status] += 1
                await asyncio.sleep(0.1)

    async def _lost(self) -> int:
        lost = 0
        async with tracking(self._address) as api:
            for run, answered in zip(self.runs, self.acknowledged, strict=True):
                path = f"metrics/get-history?run_id={run}&metric_key=metric-0"
                points = (await api.get(("GET", path, None)))["metrics"]
                lost += max(0, answered - len(points))
        return lost


def other_image(stack: Stack) -> None:
    """Make another image of the mlflow that a stack runs, on the cluster's node."""
    components = stack.outputs()["target"]["components"]
    [image] = {component["image"] for component in components if component["kind"] == "mlflow"}
    source = f"FROM {image}\nLABEL mlflow-bench.test=other\n"
    docker.from_env().images.build(fileobj=io.BytesIO(source.encode()), tag=OTHER_IMAGE, rm=True)
    images.load(OTHER_IMAGE, OTHER_IMAGE)


def remove_other_image() -> None:
    """Remove it from the node and from this machine."""
    docker.from_env().images.remove(OTHER_IMAGE, force=True)
    command = [*images.CTR, "images", "rm", f"docker.io/{OTHER_IMAGE}"]
    subprocess.run(command, check=True, capture_output=True)


def row(name: str, seen: Seen) -> str:
    """Return a step's figures as a row of a Markdown table."""
    spread = [1000 * ms for ms in quantiles(seen.latencies, n=100)]
    errors = ", ".join(f"{count} {what}" for what, count in sorted(seen.errors.items())) or "0"
    rate = len(seen.latencies) / seen.seconds
    return f"| {name} | {rate:.1f} | {spread[49]:.0f} | {spread[94]:.0f} | {errors} |"


def main() -> int:
    """Measure and print; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        stack = new_stack("bench-k8s-load", Path(folder))
        cluster = {"context": TEST_CONTEXT, "max_replicas": 3}
        settings = {"platform": "kubernetes", "artifacts": "s3", "kubernetes": cluster}

        def change(**values: object) -> None:
            stack.configure(**settings, **values)
            stack.up()
            time.sleep(SETTLE_SECONDS)

        try:
            stack.configure(**settings, replicas=2)
            stack.up()
            other_image(stack)
            clients = Clients(stack.outputs()["tracking_uri"], options.clients)
            print(f"| {options.clients} clients | answers/s | p50 ms | p95 ms | failed |")
            print("|---|---|---|---|---|")
            steps: dict[str, Callable[[], object]] = {
                "2 replicas": lambda: time.sleep(options.seconds),
                "2 to 3 replicas": lambda: change(replicas=3),
                "3 to 1": lambda: change(replicas=1),
                "1 to 2": lambda: change(replicas=2),
                "to another image": lambda: change(replicas=2, mlflow_image=OTHER_IMAGE),
            }
            failed = 0
            for name, work in steps.items():
                seen = clients.during(work)
                failed += seen.errors.total()
                print(row(name, seen), flush=True)
            lost, sum_ = clients.end(), sum(clients.acknowledged)
            print(f"\n{sum_} acknowledged, {lost} of them lost")
        finally:
            stack.run("cancel", "--yes")
            stack.destroy()
            if images.has(OTHER_IMAGE):
                remove_other_image()
    return 1 if failed or lost else 0


if __name__ == "__main__":
    sys.exit(main())
