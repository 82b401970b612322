"""From files to a verdict."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.workloads.builders import Folder
from workloads.errors import CannotRunError
from workloads.judge import conclude, judge
from workloads.result import Judgement, Result


def lose(folder: Folder) -> None:
    folder.read = [line for line in folder.read if line["kind"] != "param"]
    folder.place("param", "r1", {})


def unread(folder: Folder) -> None:
    folder.read = [line for line in folder.read if line["kind"] != "param"]


def fail(folder: Folder) -> None:
    folder.call(105, outcome="info", error="HTTP 500: boom")


def lag(folder: Folder) -> None:
    for line in folder.lines:
        if line["type"] == "sample":
            line["lag_ms"] = [99.0]


def slow(folder: Folder) -> None:
    for number in range(100):
        folder.call(102 + number / 10, ms=150, name="POST logged-models")


def both(*spoil: Callable[[Folder], None]) -> Callable[[Folder], None]:
    def all_of_them(folder: Folder) -> None:
        for one in spoil:
            one(folder)

    return all_of_them


TABLE: dict[str, tuple[Callable[[Folder], None], Judgement, str]] = {
    "good": (lambda _: None, Judgement.GOOD, "all 4 acknowledged things were read back"),
    "lost": (lose, Judgement.BAD, "param: 1 lost, 1 acknowledged. First: lost: param depth = 6"),
    "failed call": (fail, Judgement.BAD, "1 of 503 calls failed"),
    "unread": (unread, Judgement.INVALID, "1 acknowledged things were never read back"),
    "gate": (lag, Judgement.INVALID, "loop lag while a call waits: p99 99.0 ms"),
    "slow": (slow, Judgement.BAD, "p95 of API calls is 150 ms with 2 users; the objective is 100"),
    "lost in an invalid run": (both(lag, lose), Judgement.BAD, "param: 1 lost"),
    "slow in an invalid run": (both(lag, slow), Judgement.INVALID, "loop lag"),
}


@pytest.mark.parametrize("case", TABLE)
def test_verdicts(tmp_path: Path, case: str) -> None:
    spoil, expected, said = TABLE[case]
    folder = Folder(tmp_path).good_run()
    spoil(folder)
    verdict = judge(folder.save())[0].verdict
    assert verdict.judgement is expected
    assert any(said in reason for reason in verdict.reasons), verdict.reasons


def test_a_low_rate_is_bad(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.lines[0]["plan"]["objectives"]["min_rate"] = 60
    verdict = judge(folder.save())[0].verdict
    assert verdict.judgement is Judgement.BAD
    assert verdict.reasons[0].startswith("50.2 API calls/s with 2 users; the objective is 60.0/s")


def test_exit_statuses() -> None:
    assert [j.exit_status for j in Judgement] == [0, 1, 3]


def test_result_file_is_the_result(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run().save()
    (folder / "deploy.json").write_text('{"up_s": 12.5}')
    result = conclude(folder)
    assert Result.model_validate_json((folder / "result.json").read_text()) == result
    assert result.deploy == {"up_s": 12.5}
    assert json.loads((folder / "result.json").read_text())["schema_version"] == 2
    assert sorted(p.name for p in folder.iterdir()) == [
        "benchmark-bigger-is-better.json",
        "benchmark-smaller-is-better.json",
        "deploy.json",
        "history.jsonl",
        "operations.csv",
        "readback.jsonl",
        "report.html",
        "result.json",
        "stages.csv",
    ]


@pytest.mark.parametrize("text", ["[1]", "{", '{"up_s": "long"}'])
def test_bad_deployment_times_are_said(tmp_path: Path, text: str) -> None:
    folder = Folder(tmp_path).good_run().save()
    (folder / "deploy.json").write_text(text)
    with pytest.raises(CannotRunError, match="not an object of seconds by name"):
        judge(folder)


def test_a_run_that_ended_before_its_load_is_invalid(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    folder.lines = folder.lines[:3]
    folder.read = []
    folder.event("interrupted", 101)
    result = conclude(folder.save())
    assert result.verdict.judgement is Judgement.INVALID
    assert "ended before the load began" in (tmp_path / "report.html").read_text()
