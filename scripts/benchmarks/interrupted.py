"""`kill -9` of `pulumi up` at random moments: each time `up` or `destroy` then ends well.

    python -m scripts.benchmarks.interrupted [--rounds 10] [--seed 1]

A stack like `multi-az` is deployed once to learn how long that takes. Each round then begins `up`
from nothing, kills the engine and all that it started at a moment drawn by the seed, cancels what
Pulumi believes to be under way, and goes on with `up` or `destroy` in turn. After `up` the server
must answer; after `destroy` nothing with the stack's label may be left. Needs an activated shell.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from pathlib import Path

import docker

from tests.e2e.stack import Stack, end, eventually, new_stack, search

NAME = "bench-kill"


def killed_up(stack: Stack, after_s: float) -> None:
    """Begin `up` and kill it, with every process of its session, after so many seconds."""
    process = stack.start("up", "--yes", "--skip-preview")
    time.sleep(after_s)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)


def one_round(stack: Stack, client: docker.DockerClient, after_s: float, *, up: bool) -> None:
    """Kill an `up`, then end well; raises `AssertionError` with what Pulumi said otherwise."""
    killed_up(stack, after_s)
    stack.run("cancel", "--yes")
    if up:
        stack.up()
        assert search(stack.outputs()["tracking_uri"]).status_code == 200
    stack.destroy()
    eventually(lambda: stack.left(client) == [], 60)


def main() -> int:
    """Print a line a round; 1 if one did not end well."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    draw = random.Random(options.seed)
    client = docker.from_env()
    with tempfile.TemporaryDirectory() as folder:
        stack = new_stack(NAME, Path(folder))
        stack.configure(zones=2, artifacts="s3")
        try:
            began = time.monotonic()
            stack.up()
            whole_s = time.monotonic() - began
            stack.destroy()
            print(f"undisturbed up: {whole_s:.1f} s", flush=True)
            for number in range(options.rounds):
                after_s = draw.uniform(0.5, whole_s)
                up = number % 2 == 0
                one_round(stack, client, after_s, up=up)
                then = "up answers, destroy" if up else "destroy"
                print(f"killed after {after_s:4.1f} s: {then} left nothing", flush=True)
        finally:
            end(stack, client)
    return 0


if __name__ == "__main__":
    sys.exit(main())
