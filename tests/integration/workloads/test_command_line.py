"""What the command line imports, and what it has in common with Locust's."""

import os
import subprocess
import sys

from workloads.commands.run_options import seconds

PARSE = """
import sys
from locust.util.timespan import parse_timespan
print(*map(parse_timespan, sys.argv[1:]))
"""


def test_a_duration_is_read_as_locust_reads_it() -> None:
    """Locust itself is asked in a process of its own: its import patches the standard library."""
    texts = ["20", "20s", "3m", "2h", "1h20m", "3h30m10s", "1h5s", "90m"]
    command = [sys.executable, "-c", PARSE, *texts]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert [seconds(text) for text in texts] == [float(word) for word in done.stdout.split()]
    assert seconds("2.5") == 2.5  # which Locust does not know


def test_list_is_quick_to_start() -> None:
    """Neither Locust nor mlflow is imported for it: they take seconds."""
    script = (
        "import sys; from workloads.commands.application import main; main(['list'])\n"
        "print(sorted({'locust', 'mlflow', 'gevent', 'plotly'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.stdout.endswith("[]\n")
