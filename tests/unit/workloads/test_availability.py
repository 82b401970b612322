"""Recovery time, gaps and what clients saw, from records written by hand."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.workloads.builders import MS, Folder, S, plan, stage
from workloads.checkers.availability import Call, as_before, longest_gap_s, recovery_s, said
from workloads.history import HISTORY
from workloads.judge import judge
from workloads.plan import Load
from workloads.result import Judgement, Resilience, Result


def calls(*seconds: tuple[int, int]) -> list[Call]:
    """Ten calls in each second, `bad` of which fail, all of `ms`."""
    return [
        Call(number * S + k * S // 10, number * S + k * S // 10 + ms * MS, k >= bad)
        for number, (bad, ms) in enumerate(seconds)
        for k in range(10)
    ]


GOOD, SLOW, BAD, LATE = (0, 20), (0, 61), (1, 20), (0, 60)


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([GOOD] * 10, 0),
        ([GOOD] * 9, None),
        ([BAD, *[GOOD] * 10], 1),
        ([SLOW, SLOW, *[GOOD] * 10], 2),
        ([LATE] * 10, 0),
        ([*[GOOD] * 9, BAD, *[GOOD] * 10], 10),
        ([*[GOOD] * 9, BAD, *[GOOD] * 9], None),
    ],
)
def test_recovery_is_the_begin_of_ten_good_seconds_in_a_row(
    seconds: list[tuple[int, int]], expected: float | None
) -> None:
    assert recovery_s(calls(*seconds), 0, len(seconds) * S, 20) == expected


def test_a_second_without_a_call_is_not_a_good_one() -> None:
    assert recovery_s(calls(*[GOOD] * 9), 0, 10 * S, 20) is None


def test_a_call_counts_when_it_was_due_with_all_of_its_waiting() -> None:
    waited = [Call(0, 3 * S, True), *calls(*[GOOD] * 11)]
    assert recovery_s(waited, 0, 11 * S, 20) == 1


@pytest.mark.parametrize(
    ("answered", "expected"),
    [
        ([0.9, 1.1, 1.3, 1.9, 2.1], 0.6),
        ([0.2, 1.5, 2.1], 1.3),  # from the last answer before
        ([0.9, 1.1, 4.0], 2.9),  # to the first answer after
        ([0.9], 1.1),  # none until the end
        ([], 1.0),
    ],
)
def test_the_gap_is_the_longest_time_between_answers(
    answered: list[float], expected: float
) -> None:
    found = longest_gap_s([at * S for at in answered], S, 2 * S)
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("error", "word"),
    [
        ("502", "HTTP 502"),
        ("HTTP 503: Service Unavailable", "HTTP 503"),
        (
            "('Connection aborted.', RemoteDisconnected('Remote end closed connection'))",
            "RemoteDisconnected",
        ),
        ("<conn>: Failed to establish: [Errno 111] Connection refused", "Connection refused"),
        ("HTTPConnectionPool(host='x', port=1): Read timed out. (read timeout=10)", "Timed out"),
        ("ConnectionError: something else", "ConnectionError"),
        ("no answer", "no answer"),
    ],
)
def test_what_clients_saw_is_sorted(error: str, word: str) -> None:
    assert said(error) == word


class Broken(Folder):
    """Ten seconds before a fault from 112 s on, and twenty after: 20 calls and probes a second."""

    def make(
        self, *, down_s: float = 0, states: tuple[str, ...] = (), **parameters: Any
    ) -> "Broken":
        made = plan(
            scenario="resilience",
            computes=False,
            processes=1,
            faults=("replica-kill",),
            parameters=parameters,
        )
        known = stage(load=Load.OPEN, rate=20, goes_on=True).model_dump(mode="json")
        self.event("plan", 99, plan=made.model_dump(mode="json"))
        self.event("ceiling", 99, rate=2000.0)
        self.event("server", 99, processes={"bench-mlflow": [10, 11]})
        self.event("phase", 100, phase="warm-up", stage=known)
        self.event("phase", 102, phase="load", stage=known)
        for number in range(20 * 30):
            at = 102 + number / 20
            down = 112 <= at < 112 + down_s
            retries = ["502"] if down else []
            self.call(at, ms=3000 if down else 20, planned_ns=int(at * S), retries=retries)
        for second in range(30):
            looks = []
            for number in range(20):
                at = 102 + second + number / 20
                error = "HTTP 502" if 112 <= at < 112 + down_s else None
                looks.append([int(at * S), 5.0, error])
            self.event("probe", 103 + second, looks=looks)
            sample = {"process": 0, "span_s": 1.0, "cpu_s": 0.3, "call_cpu_s": 0.3}
            self.event("sample", 102.5 + second, lag_ms=[1.0] * 50, **sample)
        self.event("phase", 112, phase="between")
        self.event("server", 112, processes={"bench-mlflow": [10, 11]})
        for number, state in enumerate(states or ("injecting", "in effect", "healing", "healed")):
            what = {"fault": "replica-kill", "component": "mlflow", "state": state}
            self.event("fault", 112 + number, **what)
        self.call(131, writes=[["param", "r1", "depth", "6"]])
        self.event("phase", 132, phase="finish")
        self.place("param", "r1", {"depth": ["6"]})
        return self


def result(folder: Folder) -> tuple[Result, Resilience]:
    found, _ = judge(folder.save())
    assert found.resilience
    return found, found.resilience


def test_a_fault_that_nobody_noticed_is_good(tmp_path: Path) -> None:
    found, broken = result(Broken(tmp_path).make())
    assert found.verdict.judgement is Judgement.GOOD, found.verdict.reasons
    [fault] = broken.faults
    assert (fault.fault, fault.component) == ("replica-kill", "mlflow")
    assert (fault.begin_s, fault.in_effect_s, fault.healed_s) == (10, 1, 3)
    assert (fault.recovery_s, fault.served_s, fault.failed, fault.saw) == (0, 0, 0, {})
    assert fault.gap_s == pytest.approx(0.05, abs=0.01)
    assert broken.baseline_rate == pytest.approx(20)


def test_a_gap_is_found_and_judged_by_the_objective(tmp_path: Path) -> None:
    found, broken = result(Broken(tmp_path / "1").make(down_s=2, gap_s=1))
    [fault] = broken.faults
    assert fault.gap_s == pytest.approx(2.05, abs=0.01)
    assert fault.recovery_s == 2
    assert fault.mended == 40
    assert fault.saw == {"HTTP 502": 40}
    assert found.verdict.judgement is Judgement.BAD
    assert found.verdict.reasons[0] == (
        "replica-kill (mlflow): 2.05 s without an answer; the objective is 1 s. "
        "The clients saw: HTTP 502 40 times."
    )
    found, _ = result(Broken(tmp_path / "2").make(down_s=2, gap_s=3))
    assert found.verdict.judgement is Judgement.GOOD


@pytest.mark.parametrize(("down_s", "seen"), [(0, True), (2, True), (15, False)])
def test_a_run_that_goes_on_sees_whether_all_is_as_before(
    tmp_path: Path, down_s: int, seen: bool
) -> None:
    folder = Broken(tmp_path).make(down_s=down_s, gap_s=30).save()
    assert as_before(folder / HISTORY) is seen


def test_all_served_late_after_the_healing_is_bad(tmp_path: Path) -> None:
    found, broken = result(Broken(tmp_path).make(down_s=8, gap_s=30, served_s=4))
    assert broken.faults[0].served_s == pytest.approx(5)
    assert "all was as before only 5.0 s after it was healed" in found.verdict.reasons[0]


def test_more_failed_calls_than_the_objective_allows_are_bad(tmp_path: Path) -> None:
    folder = Broken(tmp_path).make(failed_share=0.01)
    for number in range(10):
        folder.call(112.01 + number / 100, outcome="fail", error="HTTP 503: away")
    found, broken = result(folder)
    assert broken.faults[0].failed == 10
    assert found.verdict.judgement is Judgement.BAD
    assert "10 of 411 calls failed; the objective allows 1%" in found.verdict.reasons[0]


def test_a_recovery_that_was_not_seen_is_bad(tmp_path: Path) -> None:
    found, broken = result(Broken(tmp_path).make(down_s=15, gap_s=30))
    assert broken.faults[0].recovery_s is None
    assert found.verdict.judgement is Judgement.BAD
    assert "not all was as before for ten seconds in a row" in found.verdict.reasons[0]


@pytest.mark.parametrize(
    ("states", "measured"),
    [
        (("injecting", "failed", "healing", "healed"), "0 of 1; replica-kill: it failed"),
        (("injecting", "in effect", "healing"), "0 of 1"),
    ],
)
def test_a_fault_that_did_not_take_or_heal_makes_the_run_invalid(
    tmp_path: Path, states: tuple[str, ...], measured: str
) -> None:
    found, broken = result(Broken(tmp_path).make(states=states))
    assert found.verdict.judgement is Judgement.INVALID
    gate = next(g for g in broken.gates if g.name == "faults in effect and healed")
    assert (gate.passed, gate.measured) == (False, measured)


def test_too_little_throughput_before_the_fault_is_refused(tmp_path: Path) -> None:
    folder = Broken(tmp_path).make()
    folder.lines[0]["plan"]["objectives"]["min_rate"] = 25
    found, broken = result(folder)
    gate = next(g for g in broken.gates if g.name == "throughput before the faults")
    assert gate.passed is False
    assert found.verdict.judgement is Judgement.INVALID


def test_gates_of_a_run_without_a_fault_are_about_the_time_before_it(tmp_path: Path) -> None:
    """Retries and failures after the injection are what the run is about."""
    found, _ = result(Broken(tmp_path).make(down_s=2, gap_s=3))
    assert [gate.name for gate in (*found.gates, *found.stages[0].gates) if not gate.passed] == []


def test_a_probe_that_stood_still_makes_the_run_invalid(tmp_path: Path) -> None:
    folder = Broken(tmp_path).make()
    folder.lines = [
        line for line in folder.lines if line["type"] != "probe" or line["mono_ns"] != 120 * S
    ]
    found, broken = result(folder)
    gate = next(g for g in broken.gates if g.name == "probe on time")
    assert (gate.passed, gate.measured) == (False, "1.05 s at most")
    assert found.verdict.judgement is Judgement.INVALID


def test_faults_stand_in_the_report_and_on_the_terminal(tmp_path: Path) -> None:
    from rich.console import Console

    from workloads.judge import conclude
    from workloads.report import terminal

    folder = Broken(tmp_path).make(down_s=2, gap_s=3).save()
    found = conclude(folder)
    report = (folder / "report.html").read_text()
    assert '<th scope="row">replica-kill</th><td>mlflow</td>' in report
    assert "Probes over time" in report
    assert "--fault replica-kill" in report
    console = Console(width=120, record=True)
    terminal.show(found, console)
    assert "HTTP 502 x 40" in console.export_text()
