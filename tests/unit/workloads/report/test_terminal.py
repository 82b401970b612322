"""What is printed, also where the output is no terminal."""

import io
from pathlib import Path

from rich.console import Console

from tests.unit.workloads.builders import Folder
from workloads.report import terminal
from workloads.verdict.judge import judge


def shown(folder: Folder) -> str:
    output = io.StringIO()
    terminal.show(judge(folder.save())[0], Console(file=output, width=100))
    return output.getvalue()


def test_the_table_and_the_verdict(tmp_path: Path) -> None:
    text = shown(Folder(tmp_path).good_run(calls=1200))
    calls = next(line for line in text.splitlines() if "all API calls" in line)
    assert [cell.strip() for cell in calls.strip("│").split("│")] == [
        "all API calls",
        "1202",
        "0",
        "23.0",
        "26.0",
        "26.0",
        "120.2",
    ]
    step = next(line for line in text.splitlines() if "step curves" in line)
    assert step.count("\N{EN DASH}") == 2
    assert text.rstrip().splitlines()[-5] == "verdict: good"


def test_lost_things_are_named_and_many_are_counted(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.call(105, writes=[["param", "r2", f"p{n}", "[bold]1"] for n in range(25)])
    folder.place("param", "r2", {})
    text = shown(folder)
    assert "lost: param p0 = [bold]1 of run r2" in text
    assert "… and 15 more in result.json" in text
    assert "verdict: bad" in text


def test_gates_that_did_not_pass_are_named(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.lines = [line for line in folder.lines if line["type"] != "server"]
    folder.event("user_ended", 105, user=1, status=9)
    text = shown(folder)
    assert "not done: whether server processes ended was not seen" in text
    assert "gate failed: users alive to the end: 1 ended early" in text
