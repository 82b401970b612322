"""Processes that write one history: killed, and several at once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from workloads.history import history

WRITER = """
import sys
from pathlib import Path
from workloads.history.history import History
history = History(Path(sys.argv[1]))
number = 0
while number < int(sys.argv[3]):
    number += 1
    history.event("sample", who=sys.argv[2], number=number, filler="x" * 3000)
    if number == 50:
        print("fifty", flush=True)
"""


def start_writer(path: Path, who: str, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), who, str(count)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path.cwd())},
    )


def test_a_killed_writer_loses_nothing_that_it_wrote(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    with start_writer(path, "a", 10**9) as writer:
        assert writer.stdout
        assert writer.stdout.readline() == "fifty\n"
        writer.send_signal(signal.SIGKILL)
    numbers = [line["number"] for line in history.lines(path)]
    assert len(numbers) >= 50
    assert numbers == list(range(1, len(numbers) + 1))


def test_several_writers_do_not_tear_each_others_lines(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    writers = [start_writer(path, who, 300) for who in "abc"]
    for writer in writers:
        with writer:
            writer.communicate()
    raw = path.read_text().splitlines()
    assert len(raw) == 900
    by_writer = [(line["who"], line["number"]) for line in map(json.loads, raw)]
    for who in "abc":
        assert [n for w, n in by_writer if w == who] == list(range(1, 301))
