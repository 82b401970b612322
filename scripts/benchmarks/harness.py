"""What watching costs: the real client's calls with and without it, against a server of nothing.

    python -m scripts.benchmarks.harness --rounds 10

Both ways make the same calls in the same process, in alternating order; CPU time is compared, as
other work on the machine moves it least. Watched, each call is timed, read for what it wants
kept, put into the history and told to Locust.
"""

# Locust patches the standard library for gevent when it is imported: before everything else.
import locust  # noqa: F401

# isort: split

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import requests
from locust.env import Environment
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from tests.unit.workloads.builders import plan
from workloads.history.history import History
from workloads.load import client_settings
from workloads.load.call_recorder import CallRecorder
from workloads.load.process import Process
from workloads.target.access import Access

CALLS = 200
METRICS = 10


def calls(client: MlflowClient, number: int) -> float:
    """Return ms of CPU for a log-batch call of ten metrics."""
    now = int(time.time() * 1000)
    began = time.process_time()
    for step in range(number):
        client.log_batch("0" * 32, [Metric(f"metric-{k}", k, now, step) for k in range(METRICS)])
    return (time.process_time() - began) / number * 1000


def main() -> int:
    """Measure and print; 1 if watching costs more than 5 %."""
    parser = argparse.ArgumentParser(description="What watching a call costs.")
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    server = subprocess.Popen(
        [sys.executable, "-m", "workloads.load.null_server"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert server.stdout
    uri = f"http://127.0.0.1:{server.stdout.readline().strip()}"
    client_settings.configure(uri, Access())
    plain = requests.Session.request
    with tempfile.TemporaryDirectory() as folder:
        process = Process(Environment(), History(Path(folder) / "history.jsonl"), plan(), 0)
        session = process.new_session()
        session.begin()
        CallRecorder(process).install()
        watched = requests.Session.request
        client = MlflowClient(uri)
        calls(client, CALLS)
        ratios = []
        for number in range(rounds):
            spent = {}
            ways = [("plain", plain), ("watched", watched)]
            for name, way in ways if number % 2 else reversed(ways):
                requests.Session.request = way  # type: ignore[method-assign]
                spent[name] = calls(client, CALLS)
            ratios.append(spent["watched"] / spent["plain"])
            print(f"plain {spent['plain']:.3f} ms   watched {spent['watched']:.3f} ms")
    server.terminate()
    server.communicate()
    print(f"watched / plain: median {median(ratios):.3f} of {rounds} rounds")
    return int(median(ratios) > 1.05)


if __name__ == "__main__":
    sys.exit(main())
