"""The history survives crashes and several writers, and damage is named."""

from pathlib import Path

import pytest

from tests.unit.workloads.builders import Folder, plan
from workloads import CannotRunError
from workloads.history import history
from workloads.history.history import History, Kind, Write


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
