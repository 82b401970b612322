"""From files to a verdict."""

import json
from array import array
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.workloads.builders import MS, Folder, S
from workloads import CannotRunError
from workloads.checkers import objectives
from workloads.plan.plan import Load
from workloads.verdict.judge import conclude, judge
from workloads.verdict.result import Judgement, Result


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


def lag_of(ms: float) -> Callable[[Folder], None]:
    def late(folder: Folder) -> None:
        for line in folder.lines:
            if line["type"] == "sample":
                line["lag_ms"] = [ms]

    return late


def wrong_after_the_load(folder: Folder) -> None:
    folder.call(
        112.5, kind="step", name="wrong answer", outcome="fail", error="SHA-256 is 1", wrong=True
    )


def sent_again(share: float) -> Callable[[Folder], None]:
    def again(folder: Folder) -> None:
        for number in range(int(share * 500)):
            folder.call(102 + number / 100, name="GET runs/get", retries=["503"])

    return again


def worker_gone(folder: Folder) -> None:
    looks = [line for line in folder.lines if line["type"] == "server"]
    looks[1]["processes"] = {"bench-mlflow": [10, 12]}


def slow(folder: Folder) -> None:
    for number in range(100):
        folder.call(102 + number / 10, ms=150, name="POST logged-models")


def both(*spoil: Callable[[Folder], None]) -> Callable[[Folder], None]:
    def all_of_them(folder: Folder) -> None:
        for one in spoil:
            one(folder)

    return all_of_them


def stale(folder: Folder) -> None:
    saw = [["run", "r1", "", b64encode(array("I", [1])).decode()]]
    folder.call(107, name="GET runs/get", saw=saw, replica="mlflow-b-1")


def untold(folder: Folder) -> None:
    folder.call(107, name="POST traces", not_audited=["POST traces"])


TABLE: dict[str, tuple[Callable[[Folder], None], Judgement, str]] = {
    "good": (lambda _: None, Judgement.GOOD, "all 4 acknowledged records were read back"),
    "lost": (lose, Judgement.BAD, "param: 1 lost, 1 acknowledged. First: lost: param depth = 6"),
    "failed call": (fail, Judgement.BAD, "1 of 503 calls failed"),
    "unread": (unread, Judgement.INVALID, "1 acknowledged records were never read back"),
    "stale": (stale, Judgement.BAD, "1 of 1 reads were stale, up to 3.980 s after an acknowl"),
    "every write is audited": (
        lambda _: None,
        Judgement.GOOD,
        "Audited in address.",
    ),
    "not all is audited": (untold, Judgement.GOOD, "Not audited: POST traces (1 times)."),
    "late, and met all the same": (
        lag,
        Judgement.GOOD,
        "The generator was late (loop lag while a call waits: p99 99.0 ms of 20 samples, the "
        "limit is p99 ≤ 20",
    ),
    "a bound is told as one": (
        lag,
        Judgement.GOOD,
        "≥ 50 API calls/s (objective ≥ 5), p95 ≤ 26 ms",
    ),
    "wrong after the load": (wrong_after_the_load, Judgement.BAD, "1 answers were wrong. First"),
    "a tenth sent again": (sent_again(0.1), Judgement.BAD, "Most often: 503"),
    "few sent again": (sent_again(0.004), Judgement.GOOD, "2 succeeded after a retry"),
    "a worker ended": (worker_gone, Judgement.BAD, "1 server processes ended during the load: b"),
    "slow by more than the generator": (
        both(lag_of(30), slow),
        Judgement.BAD,
        "p95 of API calls is 150 ms",
    ),
    "slow by less than the generator": (
        both(lag_of(60), slow),
        Judgement.INVALID,
        "The generator itself may have added 60 ms",
    ),
    "slow": (slow, Judgement.BAD, "p95 of API calls is 150 ms with 2 users; the objective is 100"),
    "lost in an invalid run": (both(lag, lose), Judgement.BAD, "param: 1 lost"),
    "slow, and very late": (both(lag, slow), Judgement.INVALID, "loop lag"),
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
    folder.lines[0]["plan"]["objectives"]["min_rate"] = 120
    verdict = judge(folder.save())[0].verdict
    assert verdict.judgement is Judgement.BAD
    assert verdict.reasons[0].startswith("50.2 API calls/s with 2 users; the objective is 120.0/s")


def test_the_trainers_own_computing_is_not_the_servers(tmp_path: Path) -> None:
    """50 calls/s of 23 ms are one user of two all the time: without computing there were twice."""
    folder = Folder(tmp_path).good_run()
    folder.lines[0]["plan"]["objectives"]["min_rate"] = 80
    verdict = judge(folder.save())[0].verdict
    assert verdict.judgement is Judgement.GOOD
    assert "while computing took 42% of the trainers' time, 87/s without it" in verdict.reasons[2]


def test_servers_that_cannot_be_seen_are_told(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    for line in folder.lines:
        if line["type"] == "server":
            line["processes"] = None
    result = judge(folder.save())[0]
    assert result.verdict.judgement is Judgement.GOOD
    assert "whether server processes ended was not seen" in result.not_done[0]


def halves(folder: Folder, first_ms: int, second_ms: int) -> None:
    """Make the calls of each half of the load that much longer."""
    began = {line["op"]: line["mono_ns"] for line in folder.lines if line["type"] == "invoke"}
    for line in folder.lines:
        at = began.get(line.get("op", ""), 0) if line["type"] == "ok" else 0
        if 102 * S <= at < 112 * S:
            line["mono_ns"] += (first_ms if at < 107 * S else second_ms) * MS


@pytest.mark.parametrize(
    ("first_ms", "second_ms", "expected", "said"),
    [
        (40, 0, Judgement.GOOD, "It had not settled: its halves have a p95 of 66 ms and 26 ms"),
        (0, 40, Judgement.GOOD, "both are within"),
        (0, 100, Judgement.INVALID, "Its halves have 26 ms and 126 ms: more time may tell"),
        (100, 0, Judgement.INVALID, "more time may tell"),
        (100, 200, Judgement.BAD, "the objective is 100 ms"),
    ],
)
def test_a_load_that_had_not_settled_is_judged_by_both_halves(
    tmp_path: Path, first_ms: int, second_ms: int, expected: Judgement, said: str
) -> None:
    folder = Folder(tmp_path).good_run()
    halves(folder, first_ms, second_ms)
    verdict = judge(folder.save())[0].verdict
    assert verdict.judgement is expected, verdict.reasons
    assert any(said in reason for reason in verdict.reasons), verdict.reasons


def test_halves_of_an_open_load_have_the_rate_that_chance_planned(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    halves(folder, 40, 0)
    result = judge(folder.save())[0]
    stage = result.stages[0]
    few = [half.model_copy(update={"rate": 4.0}) for half in stage.halves]
    opened = stage.model_copy(
        update={
            "halves": few,
            "stage": stage.stage.model_copy(update={"load": Load.OPEN, "rate": 50.0}),
        }
    )
    assert not objectives.settled(opened)
    assert objectives.outcomes(result.plan, opened, result.operations, None, [])[-1].met is True


def test_an_objective_within_the_interval_is_told(tmp_path: Path) -> None:
    """Of 500 calls 24 take 105 ms, one in twenty but one: 20 to 36 of 500 may be expected."""
    folder = Folder(tmp_path).good_run(calls=476)
    for number in range(20):
        folder.call(102 + number / 3, ms=105, name="GET runs/get")
    verdict = judge(folder.save())[0].verdict
    assert verdict.judgement is Judgement.GOOD
    assert any("lies within the p95's 95 % interval" in reason for reason in verdict.reasons)


def test_exit_statuses() -> None:
    assert [j.exit_status for j in Judgement] == [0, 1, 3]


def test_result_file_is_the_result(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run().save()
    (folder / "deploy.json").write_text('{"up_s": 12.5}')
    result = conclude(folder)
    assert Result.model_validate_json((folder / "result.json").read_text()) == result
    assert result.deploy == {"up_s": 12.5}
    assert json.loads((folder / "result.json").read_text())["schema_version"] == 4
    assert sorted(p.name for p in folder.iterdir()) == [
        "benchmark-bigger-is-better.json",
        "benchmark-smaller-is-better.json",
        "deploy.json",
        "history.jsonl",
        "junit.xml",
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


@pytest.mark.parametrize(("nice", "told"), [(0, True), (-5, False)])
def test_a_generator_without_its_priority_is_told(tmp_path: Path, nice: int, told: bool) -> None:
    folder = Folder(tmp_path).good_run()
    folder.event("priority", 100, process=0, nice=-5)
    folder.event("priority", 100, process=1, nice=nice)
    found, _ = judge(folder.save())
    assert found.generator_nice == nice
    assert any("was not put before other work" in said for said in found.not_done) is told
    assert found.verdict.judgement is Judgement.GOOD
