"""The history survives crashes and several writers, and damage is named."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.workloads.builders import Folder, plan
from workloads import history
from workloads.errors import CannotRunError
from workloads.history import History, Kind, Write

WRITER = """
import sys
from pathlib import Path
from workloads.history import History
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


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    writer = History(path)
    writer.event("plan", plan=plan().model_dump(mode="json"))
    started = writer.event("phase", phase="load")
    writes = [Write(Kind.RUN, "1", "token", None), Write(Kind.TAG, None, "team", "a")]
    invoked = writer.invoke("0.1", 0, "call", "POST runs/create", writes=writes)
    completed = writer.complete("ok", "0.1", status=200, retries=["503"], created="r1")
    writer.invoke("0.2", 0, "call", "POST runs/create", background=True)
    writer.complete("fail", "0.2", error="HTTP 404")
    writer.close()

    assert next(history.entries(path)) == plan()
    [phase] = [entry for entry in history.entries(path) if isinstance(entry, dict)]
    assert (phase["phase"], phase["mono_ns"]) == ("load", started)
    first, second = history.operations(path)
    assert first.writes == writes
    assert (first.outcome, first.created, first.retries) == ("ok", "r1", ["503"])
    assert first.duration_ms == (completed - invoked) / 1e6
    assert (second.outcome, second.error, second.background) == ("fail", "HTTP 404", True)


def test_an_invoke_without_an_end_is_info(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run(calls=1)
    folder.call(105, outcome=None)
    last = list(history.operations(folder.save() / "history.jsonl"))[-1]
    assert last.outcome == "info"
    assert last.duration_ms is None


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    path = Folder(tmp_path).good_run().save() / "history.jsonl"
    whole = list(history.entries(path))
    with path.open("a") as file:
        file.write('{"type":"invoke","op":"9.9","mono')
    assert list(history.entries(path)) == whole


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{torn\n", "line 2 is not JSON"),
        ("[1]\n", "line 2 is not an object"),
        ('{"type":"ok","op":"8.8","mono_ns":1}\n', "line 2 does not fit (KeyError: '8.8')"),
        ('{"mono_ns":1}\n', "line 2 does not fit (KeyError: 'type')"),
    ],
)
def test_damage_elsewhere_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = Folder(tmp_path).good_run().save() / "history.jsonl"
    first, rest = path.read_text().split("\n", 1)
    path.write_text(f"{first}\n{line}{rest}")
    with pytest.raises(CannotRunError) as caught:
        list(history.entries(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_file_and_no_plan_are_said(tmp_path: Path) -> None:
    with pytest.raises(CannotRunError, match="is this the folder of a run"):
        list(history.entries(tmp_path / "history.jsonl"))
    (tmp_path / "history.jsonl").write_text("")
    with pytest.raises(CannotRunError, match="has no plan line"):
        list(history.entries(tmp_path / "history.jsonl"))


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
