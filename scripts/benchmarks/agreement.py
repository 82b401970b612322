"""Do two runs of one stack on one machine agree within the spread that the reports state?

    python -m scripts.benchmarks.agreement [--runs 16] [--duration 15]

Deploys one zone with one replica and runs the scenario `metrics` on it again and again, with a
seed each. Two runs in a row agree when their rates differ by no more than their margins, which are
halves of 95 % intervals, allow together: sqrt(a^2 + b^2). Of pairs that differ by chance alone
one in twenty does not agree; runs that do not count are named and left out.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import docker

from tests.e2e.stack import ROOT, end, new_stack

NAME = "bench-agreement"


def measure(uri: str, seed: int, duration: float, folder: Path) -> tuple[float, float] | None:
    """Return the rate and its margin in calls/s; None if the run is invalid."""
    argv = [sys.executable, "-m", "workloads", "run", "--url", uri, "--scenario", "metrics"]
    argv += ["--seed", str(seed), "--duration", str(duration), "--results", str(folder)]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 1):
        return None
    result = json.loads((folder / "result.json").read_text())
    [stage] = result["stages"]
    return stage["calls"]["rate"], stage["calls"]["rate_margin"]


def main() -> int:
    """Measure and print; 1 if fewer than nine in ten pairs agree."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=16)
    parser.add_argument("--duration", type=float, default=15, help="seconds of load of each run")
    options = parser.parse_args()
    if options.runs < 2:
        parser.error("--runs: give at least 2")
    client = docker.from_env()
    rates: list[tuple[float, float] | None] = []
    with tempfile.TemporaryDirectory() as temporary:
        stack = new_stack(NAME, Path(temporary))
        try:
            stack.up()
            uri = str(stack.outputs()["target"]["tracking_uri"])
            for seed in range(1, options.runs + 1):
                folder = Path(temporary, "results", str(seed))
                rates.append(measure(uri, seed, options.duration, folder))
                rate = rates[-1]
                text = f"{rate[0]:.1f} ± {rate[1]:.1f} calls/s" if rate else "invalid"
                print(f"run {seed}: {text}", flush=True)
        finally:
            end(stack, client)
            client.close()
    pairs = [(a, b) for a, b in pairwise(rates) if a and b]
    agree = [abs(a[0] - b[0]) <= math.hypot(a[1], b[1]) for a, b in pairs]
    print(f"{sum(agree)} of {len(pairs)} pairs agree")
    return int(not pairs or sum(agree) < 0.9 * len(pairs))


if __name__ == "__main__":
    sys.exit(main())
