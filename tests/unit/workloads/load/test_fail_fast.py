"""Ending a run early: as soon as its verdict can only be bad, and never before."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.workloads.builders import Folder, S, plan, stage
from workloads.history import record
from workloads.history.history import History
from workloads.load import fail_fast
from workloads.plan.plan import Load, Objectives, Plan, Profile, Stage
from workloads.scenarios import SCENARIOS
from workloads.verdict.judge import judge
from workloads.verdict.result import Judgement

CLOSED = stage(load_s=100)
OPEN = stage(name="10/s", load=Load.OPEN, users=8, rate=10, load_s=100)


def going(folder: Folder, known: Stage = CLOSED, **aims: float) -> Folder:
    """A load that began at 102 s; figures are taken until 202 s."""
    begun(folder, planned(**aims), known)
    folder.event("phase", 102, phase="load", stage=known.model_dump(mode="json"))
    return folder


def planned(**aims: float) -> Plan:
    known = {"error_rate": 0.0, "p95_ms": 100.0, "min_rate": 1.0} | aims
    return plan(
        computes=False,
        processes=1,
        scenario="metrics",
        objectives=Objectives.model_validate(known),
        profile=Profile(users=2, warm_up_s=2, load_s=100, finish_s=5),
        fail_fast=True,
    )


def begun(folder: Folder, made: Plan, known: Stage = CLOSED) -> None:
    folder.event("plan", 99, plan=made.model_dump(mode="json"))
    folder.event("phase", 100, phase="warm-up", stage=known.model_dump(mode="json"))


def calls(
    folder: Folder, seconds: int, rate: int = 10, ms: float = 20, lag_ms: float = 1.0
) -> None:
    """Calls at a rate from the begin of the load on."""
    for second in range(seconds):
        for number in range(rate):
            at = 102 + second + number / rate
            folder.call(at, ms=ms, planned_ns=int(at * S))
        folder.event(
            "sample",
            102.5 + second,
            process=0,
            span_s=1.0,
            cpu_s=0.1,
            call_cpu_s=0.1,
            lag_ms=[lag_ms] * 50,
        )


def reach(folder: Folder, at_s: float, *, last: bool = True) -> str | None:
    reader = record.Reader(folder.save() / "history.jsonl")
    try:
        return fail_fast.reason_to_end(reader.read(), int(at_s * S), last=last)
    finally:
        reader.close()


def failed(folder: Folder, at_s: float = 103) -> None:
    folder.call(at_s, outcome="fail", error="HTTP 500: no", planned_ns=int(at_s * S))


def wrong(folder: Folder, at_s: float) -> None:
    folder.call(at_s, kind="step", name="look", outcome="fail", error="not mine", wrong=True)


def test_a_load_that_goes_well_goes_on(tmp_path: Path) -> None:
    folder = going(Folder(tmp_path))
    calls(folder, 10)
    assert reach(folder, 112) is None


def test_nothing_is_said_of_a_load_that_has_just_begun(tmp_path: Path) -> None:
    assert reach(going(Folder(tmp_path)), 102.5) is None


@pytest.mark.parametrize("last", [True, False])
def test_a_call_that_must_not_fail_ends_it(tmp_path: Path, *, last: bool) -> None:
    folder = going(Folder(tmp_path))
    calls(folder, 3)
    failed(folder)
    why = reach(folder, 105, last=last)
    assert why
    assert "1 of 31 calls failed" in why, "calls that never were are in no figure"
    assert "HTTP 500: no" in why


def test_a_wrong_answer_ends_it_in_the_warm_up_too(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    begun(folder, planned())
    wrong(folder, 100.5)
    why = reach(folder, 101, last=False)
    assert why
    assert "1 answers were wrong. First: look: not mine." in why


@pytest.mark.parametrize(
    ("known", "number", "ends"),
    [
        # The best of 5 s has 16 or 17 calls: 95 s with twice as many are 3,040 or 3,230 more.
        (CLOSED, 30, False),
        (CLOSED, 35, True),
        # 1,000 calls are planned, which may be 1,063: 10 of them may fail.
        (OPEN, 9, False),
        (OPEN, 12, True),
    ],
)
def test_a_share_of_failed_calls_is_taken_of_all_that_can_come(
    tmp_path: Path, known: Stage, number: int, *, ends: bool
) -> None:
    folder = going(Folder(tmp_path), known, error_rate=0.01)
    calls(folder, 5)
    for each in range(number):
        failed(folder, 102.51 + each % 5 + each / 1000)
    assert (reach(folder, 107) is not None) is ends
    assert reach(folder, 107, last=False) is None, "of stages to come nobody knows the calls"


@pytest.mark.parametrize(
    ("slow_s", "lag_ms", "ends"),
    [
        # Of up to 1,063 calls 53 have to be slow for the 95th percentile to be among them.
        (4, 1, False),
        (7, 1, True),
        # A generator that was late by as much may have made them slow.
        (7, 900, False),
    ],
)
def test_slow_calls_end_it_once_no_quick_ones_can_make_up_for_them(
    tmp_path: Path, slow_s: int, lag_ms: float, *, ends: bool
) -> None:
    folder = going(Folder(tmp_path), OPEN)
    calls(folder, slow_s, ms=500, lag_ms=lag_ms)
    why = reach(folder, 102 + slow_s)
    assert (why is not None) is ends
    if why:
        assert why.startswith("p95 of API calls is 500 ms with 10.0 planned calls/s; the objective")


def test_a_rate_that_cannot_be_reached_ends_it(tmp_path: Path) -> None:
    folder = going(Folder(tmp_path), min_rate=50, p95_ms=1000)
    calls(folder, 50, ms=195)
    why = reach(folder, 152)
    assert why
    assert why.startswith("10.0 API calls/s with 2 users; the objective is 50.0/s")


def test_a_stage_of_a_climb_that_is_over_is_left_as_it_was(tmp_path: Path) -> None:
    """In the warm-up of the next one nothing is added to it."""
    folder = going(Folder(tmp_path), error_rate=0.5)
    calls(folder, 3, ms=500)
    folder.event("phase", 105, phase="between")
    folder.event("phase", 106, phase="warm-up", stage=CLOSED.model_dump(mode="json"))
    assert reach(folder, 107, last=False) is None


def test_each_line_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = going(Folder(tmp_path))
    calls(folder, 3)
    path = folder.save() / "history.jsonl"
    text = path.read_text()
    decoded = 0
    loads = json.loads

    def counted(raw: bytes) -> object:
        nonlocal decoded
        decoded += 1
        return loads(raw)

    monkeypatch.setattr("workloads.history.history.json.loads", counted)
    reader = record.Reader(path)
    for end in (text.index("invoke"), text.index("invoke") + 50, len(text) // 2):  # torn lines
        path.write_text(text[:end])
        reader.read()
    path.write_text(text)
    assert len(reader.read().operations) == 30
    reader.close()
    assert decoded == text.count("\n")


def look(folder: Folder) -> fail_fast.FailFast:
    path = folder.save() / "history.jsonl"
    return fail_fast.FailFast(path, SCENARIOS["metrics"], History(path))


def test_a_look_is_not_taken_before_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []

    def slow(*_: object, **__: object) -> None:
        seen.append(time.monotonic())
        time.sleep(0.1)

    folder = going(Folder(tmp_path))
    early = look(folder)
    monkeypatch.setattr(fail_fast, "reason_to_end", slow)
    monkeypatch.setattr(fail_fast, "EVERY_S", 0.0)
    for _ in range(50):
        early.check()
    early.check(now=True)
    early.close()
    assert len(seen) == 2, "looking took 0.1 s: the next one is due two seconds later"


def test_a_run_that_ended_early_is_bad_and_says_so(tmp_path: Path) -> None:
    folder = going(Folder(tmp_path))
    calls(folder, 3)
    failed(folder)
    moment = time.monotonic_ns() / S  # the clock that lines of this process have
    for line in folder.lines:
        for name in {"mono_ns", "planned_ns"} & set(line):
            line[name] += int((moment - 105) * S)
    early = look(folder)
    assert early.check()
    assert early.check()
    early.close()
    path = tmp_path / "history.jsonl"
    lines = path.read_text().splitlines()
    assert [json.loads(line)["type"] for line in lines].count("ended_early") == 1
    finish = {"type": "phase", "phase": "finish", "mono_ns": time.monotonic_ns(), "wall_ns": 1}
    path.write_text("\n".join([*lines, json.dumps(finish)]) + "\n")
    result, _ = judge(tmp_path)
    assert result.verdict.judgement is Judgement.BAD
    said = result.verdict.reasons[0]
    assert said.startswith("Ended early by --fail-fast, 3.")
    assert " s into the load (2 users): 1 of " in said
    assert not result.interrupted
    [complete] = [gate for gate in result.gates if gate.name == "run complete"]
    assert complete.measured == "ended early"
    assert complete.passed is False


def missed(folder: Folder) -> None:
    calls(folder, 5, ms=500)


def gone(folder: Folder) -> None:
    calls(folder, 5)
    failed(folder)


@pytest.mark.parametrize("spoil", [missed, gone])
def test_faults_that_were_not_carried_out_leave_it_bad(
    tmp_path: Path, spoil: Callable[[Folder], None]
) -> None:
    folder = Folder(tmp_path)
    made = planned().model_copy(update={"faults": ("noop",), "scenario": "resilience"})
    known = OPEN.model_copy(update={"goes_on": True})
    begun(folder, made, known)
    folder.event("phase", 102, phase="load", stage=known.model_dump(mode="json"))
    spoil(folder)
    folder.event("ended_early", 107, why="it was so.")
    folder.event("phase", 107.1, phase="between")
    folder.event("phase", 107.2, phase="finish")
    result, _ = judge(folder.save())
    assert result.verdict.judgement is Judgement.BAD
    assert result.verdict.reasons[0].endswith("5.0 s into the load (10/s): it was so.")
