"""A command that the client runs does not make a generator process's users act twice."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

PROGRAM = """
import locust  # patches the standard library for gevent

import os
import subprocess
import sys

import gevent
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from workloads.load.exports import ignore_fork_hooks

path, ignored = sys.argv[1:]
if ignored == "True":
    ignore_fork_hooks()
provider = TracerProvider(shutdown_on_exit=False)
provider.add_span_processor(BatchSpanProcessor(InMemorySpanExporter()))
history = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def act(user):
    number = 0
    while True:
        number += 1
        os.write(history, f"{user}.{number}\\n".encode())
        gevent.sleep(0)


for user in range(3):
    gevent.spawn(act, user)
for _ in range(20):
    subprocess.run(["true"], check=True)
os._exit(0)
"""


@pytest.mark.parametrize("ignored", [True, False], ids=["ignored", "as it is without"])
def test_users_act_once(tmp_path: Path, ignored: bool) -> None:
    done = tmp_path / "history"
    command = [sys.executable, "-c", PROGRAM, str(done), str(ignored)]
    subprocess.run(command, cwd=ROOT, check=True, timeout=300)
    operations = done.read_text().split()
    assert len(operations) > 100
    assert (len(operations) == len(set(operations))) is ignored
