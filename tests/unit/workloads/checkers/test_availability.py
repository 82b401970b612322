"""Recovery time, outages and what clients saw, from records written by hand."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.workloads.builders import MS, Folder, S, plan, stage
from workloads.checkers import objectives
from workloads.checkers.availability import Call, recovered_s, said, service_restored, upper_ms
from workloads.checkers.kinds import FETCHED, GATE, KINDS, OF_TRACES, Tried
from workloads.checkers.outages import Probe, longest_s
from workloads.history.history import HISTORY
from workloads.plan.plan import Load
from workloads.target.probe_paths import FILES, RATES, ProbePath
from workloads.verdict.judge import judge
from workloads.verdict.result import Judgement, Resilience, Result


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
    assert recovered_s(calls(*seconds), 0, len(seconds) * S, 20) == expected


def test_a_second_without_a_call_is_not_a_good_one() -> None:
    assert recovered_s(calls(*[GOOD] * 9), 0, 10 * S, 20) is None


def test_a_call_counts_when_it_was_due_with_all_of_its_waiting() -> None:
    waited = [Call(0, 3 * S, True), *calls(*[GOOD] * 11)]
    assert recovered_s(waited, 0, 11 * S, 20) == 1


def test_ten_good_seconds_go_on_until_it_was_healed() -> None:
    """What only breaks after ten seconds of a fault was not as before from its begin on."""
    seconds = [*[GOOD] * 12, BAD, *[GOOD] * 10]
    assert recovered_s(calls(*seconds), 0, 23 * S, 20) == 0
    assert recovered_s(calls(*seconds), 0, 23 * S, 20, healed=11 * S) == 0
    assert recovered_s(calls(*seconds), 0, 23 * S, 20, healed=13 * S) == 13


def test_every_kind_is_acknowledged_before_all_is_as_before() -> None:
    good = calls(*[GOOD] * 14)
    fetched = [Tried(FETCHED, second * S, second * S + 1, second > 11) for second in range(14)]
    assert recovered_s(good, 0, 11 * S, 20, done=fetched, wanted={FETCHED}) is None
    assert recovered_s(good, 0, 14 * S, 20, done=fetched, wanted={FETCHED}) == 0


def test_the_baseline_is_of_all_its_calls_and_not_of_its_slowest_second() -> None:
    """Two slow calls in one of ten seconds once made that second's p95 the measure of all."""
    assert upper_ms([20.0] * 198 + [1000.0] * 2) == 20
    assert upper_ms([20.0] * 185 + [1000.0] * 15) == 1000
    assert upper_ms([20.0, 30.0]) == 30  # so few have no upper bound
    assert upper_ms([]) is None


@pytest.mark.parametrize(
    ("probes", "expected"),
    [
        # Refused from 1.1 s to 1.5 s, each after 10 ms: what came before 1.7 s, nobody knows.
        ([(0.9, 0, 1), (1.1, 10, 0), (1.3, 10, 0), (1.5, 10, 0), (1.7, 0, 1)], (0.41, 0.8)),
        # One hangs, and what is sent later is answered with it.
        ([(0.9, 0, 1), (1.1, 700, 1), (1.3, 500, 1), (1.9, 0, 1)], (0.7, 0.9)),
        # What was refused first and what hung then overlap.
        ([(0.9, 0, 1), (1.1, 300, 0), (1.3, 500, 1), (1.9, 0, 1)], (0.7, 0.9)),
        # From the last answer before the begin, to the first after the end.
        ([(0.2, 0, 1), (1.5, 0, 1), (2.1, 0, 1)], (0.0, 1.3)),
        ([(0.9, 0, 1), (1.1, 0, 1), (4.0, 0, 1)], (0.0, 2.9)),
        ([(0.9, 0, 1), (1.1, 10000, 0)], (0.9, 1.1)),  # none until the end
        ([], (0.0, 1.0)),
    ],
)
def test_a_gap_has_what_is_certain_of_it_and_what_it_can_have_been_at_most(
    probes: list[tuple[float, float, int]], expected: tuple[float, float]
) -> None:
    looks = [Probe(int(at * S), ms, None if good else "HTTP 502") for at, ms, good in probes]
    assert longest_s(looks, S, 2 * S) == pytest.approx(expected)


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


NAMES = (
    "POST runs/create",
    "POST runs/log-batch",
    "POST runs/update",
    "POST runs/search",
    "POST model-versions/create",
)


class Broken(Folder):
    """Ten seconds before a fault from 112 s on, healed at 115 s, and twenty after.

    There are 20 calls a second, and a file stored and fetched four times a second, with probes as
    often as they are sent. A fault that is there for `down_s` is mended by the client's retries;
    `lost` says which paths' probes it strikes.
    """

    def make(
        self,
        *,
        down_s: float = 0,
        states: tuple[str, ...] = (),
        fault: str = "replica-kill",
        lost: tuple[ProbePath, ...] = tuple(ProbePath),
        **parameters: Any,
    ) -> "Broken":
        made = plan(
            scenario="resilience",
            computes=False,
            processes=1,
            faults=(fault,),
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
            self.call(
                at,
                ms=3000 if down else 20,
                name=NAMES[number % len(NAMES)],
                planned_ns=int(at * S),
                retries=["502"] if down else [],
            )
        for number in range(4 * 30):
            for step in ("upload 16 KiB", "download 16 KiB"):
                self.call(102 + number / 4, name=step, kind="step")
        for path, rate in RATES.items():
            down = path in lost and down_s > 0
            for second in range(30):
                sent = [102 + second + number / rate for number in range(rate)]
                errors = ["HTTP 502" if down and 0 <= at - 112 < down_s else None for at in sent]
                looks = [[int(at * S), 5.0, error] for at, error in zip(sent, errors, strict=True)]
                self.event("probe", 103 + second, path=path.value, looks=looks)
        for second in range(30):
            sample = {"process": 0, "span_s": 1.0, "cpu_s": 0.3, "call_cpu_s": 0.3}
            self.event("sample", 102.5 + second, lag_ms=[1.0] * 50, **sample)
        self.event("phase", 112, phase="between")
        self.event("server", 112, processes={"bench-mlflow": [10, 11]})
        for number, state in enumerate(states or ("injecting", "in effect", "healing", "healed")):
            what = {"fault": fault, "component": "mlflow", "state": state}
            self.event("fault", 112 + number, **what)
        self.call(131, writes=[["param", "r1", "depth", "6"]])
        self.event("phase", 132, phase="finish")
        self.place("param", "r1", {"depth": ["6"]})
        return self

    def without(self, kind: str, begin_s: float, end_s: float) -> "Broken":
        """Leave out the operations of this name that begin in a time."""
        out = {
            line["op"]
            for line in self.lines
            if line["type"] == "invoke"
            and line["name"].startswith(kind)
            and begin_s * S <= line["mono_ns"] < end_s * S
        }
        self.lines = [line for line in self.lines if line.get("op") not in out]
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
    assert (fault.injected_s, fault.in_effect_s, fault.healed_s) == (10, 1, 3)
    assert (fault.recovered_s, fault.recovery_time_s, fault.failed, fault.client_errors) == (
        0,
        0,
        0,
        {},
    )
    assert fault.outage_s == pytest.approx(0.2, abs=0.01)
    assert broken.baseline_rate == pytest.approx(20)


def test_a_gap_is_found_and_judged_by_the_objective(tmp_path: Path) -> None:
    found, broken = result(Broken(tmp_path / "1").make(down_s=2, outage_limit_s=1))
    [fault] = broken.faults
    assert str(fault.outages[ProbePath.READ]) == "1.96 to 2.05"
    assert str(fault.outages[ProbePath.PUT]) == "1.80 to 2.20"
    assert fault.outage_s == pytest.approx(2.2, abs=0.01)
    assert fault.recovered_s == 2
    assert fault.succeeded_after_retry == 40
    assert fault.client_errors == {"HTTP 502": 40}
    assert found.verdict.judgement is Judgement.BAD
    assert found.verdict.reasons[0] == (
        "replica-kill (mlflow): read metadata: outage of 1.96 to 2.05 s; the objective is "
        "1 s. Clients saw: HTTP 502 40 times."
    )
    found, _ = result(Broken(tmp_path / "2").make(down_s=2, outage_limit_s=3))
    assert found.verdict.judgement is Judgement.GOOD


@pytest.mark.parametrize(("down_s", "seen"), [(0, True), (2, True), (15, False)])
def test_a_run_that_goes_on_sees_whether_all_is_as_before(
    tmp_path: Path, down_s: int, seen: bool
) -> None:
    folder = Broken(tmp_path).make(down_s=down_s, outage_limit_s=30).save()
    assert service_restored(folder / HISTORY) is seen


def test_all_served_late_after_the_healing_is_bad(tmp_path: Path) -> None:
    found, broken = result(
        Broken(tmp_path).make(down_s=8, outage_limit_s=30, recovery_time_limit_s=4)
    )
    assert broken.faults[0].recovery_time_s == pytest.approx(5)
    assert "service was restored only 5.0 s after it was healed" in found.verdict.reasons[0]


def test_more_failed_calls_than_the_objective_allows_are_bad(tmp_path: Path) -> None:
    folder = Broken(tmp_path).make(failed_share=0.01)
    for number in range(10):
        folder.call(112.01 + number / 100, outcome="fail", error="HTTP 503: away")
    found, broken = result(folder)
    assert broken.faults[0].failed == 10
    assert found.verdict.judgement is Judgement.BAD
    assert "10 of 70 calls failed; the objective allows 1%" in found.verdict.reasons[0]


def test_failed_calls_are_a_share_of_those_in_the_fault_and_not_of_the_time_after(
    tmp_path: Path,
) -> None:
    """A seventh of the calls of a fault failed: of 20 s it was 2 %, and good."""
    folder = Broken(tmp_path).make()
    for number in range(10):
        folder.call(112.01 + number / 100, outcome="fail", error="HTTP 503: away")
    found, broken = result(folder)
    assert (broken.faults[0].failed, broken.faults[0].calls) == (10, 70)
    assert found.verdict.judgement is Judgement.BAD
    assert "10 of 70 calls failed; the objective allows 10%" in found.verdict.reasons[0]


def test_a_slow_second_before_the_fault_does_not_make_it_as_before(tmp_path: Path) -> None:
    """Two calls of 1 s before it, and from the fault on every call takes 0.4 s."""
    folder = Broken(tmp_path).make()
    for line in folder.lines:
        if line["type"] != "ok":
            continue
        number = int(line["op"].split(".")[1]) - 1
        if number < 20 * 30:
            slow_ms = 980 if number in (40, 41) else 380 if number >= 20 * 10 else 0
            line["mono_ns"] += slow_ms * MS
    found, broken = result(folder)
    assert broken.baseline_p95_ms == pytest.approx(20)
    assert broken.faults[0].recovered_s is None
    assert found.verdict.judgement is Judgement.BAD


@pytest.mark.parametrize(
    ("fault", "lost", "judged"),
    [
        ("replica-kill", FILES, Judgement.BAD),
        ("store-kill", FILES, Judgement.BAD),
        ("nfs-freeze", (ProbePath.GET,), Judgement.BAD),
        ("store-kill", (ProbePath.READ,), Judgement.GOOD),
        ("postgres-kill", (ProbePath.WRITE,), Judgement.BAD),
        ("postgres-kill", FILES, Judgement.GOOD),
        ("replica-kill", (), Judgement.GOOD),
    ],
)
def test_a_fault_is_judged_on_the_paths_that_it_breaks(
    tmp_path: Path, fault: str, lost: tuple[ProbePath, ...], judged: Judgement
) -> None:
    """A file that nobody could store for 2 s was once no outage: metadata was read all the time."""
    found, broken = result(
        Broken(tmp_path).make(down_s=2, outage_limit_s=1, fault=fault, lost=lost)
    )
    assert found.verdict.judgement is judged, found.verdict.reasons
    assert all(broken.faults[0].outages[path].failed for path in lost)
    if judged is Judgement.BAD:
        assert f"{lost[0]}: outage of 1.8" in found.verdict.reasons[0]


@pytest.mark.parametrize(("known", "judged"), [(False, Judgement.GOOD), (True, Judgement.BAD)])
def test_what_probes_had_not_written_at_the_end_is_no_gap_and_silence_is(
    tmp_path: Path, known: bool, judged: Judgement
) -> None:
    """The process of the probes ends with the run; lines without an answer are the server's."""
    folder = Broken(tmp_path).make(outage_limit_s=1)
    for line in folder.lines:
        if line["type"] == "probe" and line["mono_ns"] > 129 * S:
            line["looks"] = [[s, 900.0, "ReadTimeout"] for s, _, _ in line["looks"] if known]
    if not known:
        folder.lines = [line for line in folder.lines if line["type"] != "probe" or line["looks"]]
    found, _ = result(folder)
    assert found.verdict.judgement is judged, found.verdict.reasons


def test_another_limit_judges_the_same_gaps_anew(tmp_path: Path) -> None:
    """As a comparison does, with the outage that a person can bear."""
    found, broken = result(Broken(tmp_path).make(down_s=2, fault="store-kill"))
    assert found.verdict.judgement is Judgement.GOOD
    strict = broken.faults[0].model_copy(update={"outage_limit_s": 1})
    missed = [
        outcome.message
        for outcome in objectives.outcomes(
            found.plan,
            found.stages[0],
            found.operations,
            broken.model_copy(update={"faults": [strict]}),
            [],
        )
        if outcome.met is False
    ]
    assert [said.split(":")[1] for said in missed] == [" put artifact", " get artifact"]


def test_a_gap_that_may_be_within_its_objective_is_undecided(tmp_path: Path) -> None:
    """Refused from 112 s to 112.8 s: of files, nobody knows from 0.6 s to 1 s."""
    found, broken = result(Broken(tmp_path).make(down_s=0.75, outage_limit_s=0.85))
    assert broken.faults[0].outages[ProbePath.PUT].within(0.85) is None
    assert broken.faults[0].outages[ProbePath.READ].within(0.85) is True
    assert found.verdict.judgement is Judgement.INVALID
    assert "put artifact: outage of 0.60 to 1.00 s" in " ".join(found.verdict.reasons)


@pytest.mark.parametrize(
    ("name", "begin_s", "end_s", "measured"),
    [
        ("download", 112, 115, "replica-kill: none during it of: file fetched"),
        ("download", 115, 140, "replica-kill: none after it of: file fetched"),
        ("POST runs/update", 102, 112, "replica-kill: none before it of: run ended"),
    ],
)
def test_a_fault_in_which_not_everything_was_tried_says_too_little(
    tmp_path: Path, name: str, begin_s: float, end_s: float, measured: str
) -> None:
    found, broken = result(Broken(tmp_path).make().without(name, begin_s, end_s))
    gate = next(g for g in broken.gates if g.name == GATE)
    assert (gate.passed, gate.measured) == (False, measured)
    assert found.verdict.judgement is Judgement.INVALID


def test_what_never_succeeds_again_is_not_as_before(tmp_path: Path) -> None:
    folder = Broken(tmp_path).make().without("download", 115, 200)
    for second in range(115, 130):
        folder.call(second, name="download 16 KiB", kind="step", outcome="fail", error="gone")
    found, broken = result(folder)
    assert broken.faults[0].recovered_s is None
    assert found.verdict.judgement is Judgement.BAD


def test_a_generator_that_was_late_under_faults_leaves_their_end_open(tmp_path: Path) -> None:
    folder = Broken(tmp_path).make(down_s=15, outage_limit_s=30)
    for line in folder.lines:
        if line["type"] == "sample" and line["mono_ns"] > 112 * S:
            line["lag_ms"] = [200.0] * 50
    found, _ = result(folder)
    assert found.verdict.judgement is Judgement.INVALID
    assert "service was not restored" in " ".join(found.verdict.reasons)


def test_a_recovery_that_was_not_seen_is_bad(tmp_path: Path) -> None:
    found, broken = result(Broken(tmp_path).make(down_s=15, outage_limit_s=30))
    assert broken.faults[0].recovered_s is None
    assert found.verdict.judgement is Judgement.BAD
    assert "service was not restored for ten seconds in a row" in found.verdict.reasons[0]


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
    found, _ = result(Broken(tmp_path).make(down_s=2, outage_limit_s=3))
    assert [gate.name for gate in (*found.gates, *found.stages[0].gates) if not gate.passed] == []


@pytest.mark.parametrize(
    ("outage_limit_s", "judged"), [(2, Judgement.GOOD), (1, Judgement.INVALID)]
)
def test_a_probe_that_stood_still_decides_what_it_can(
    tmp_path: Path, outage_limit_s: float, judged: Judgement
) -> None:
    """What it did not ask counts as not answered: an outage is at most what it tells."""
    folder = Broken(tmp_path).make(outage_limit_s=outage_limit_s)
    folder.lines = [
        line for line in folder.lines if line["type"] != "probe" or line["mono_ns"] != 120 * S
    ]
    found, broken = result(folder)
    gate = next(g for g in broken.gates if g.name == "probe on time")
    assert (gate.passed, gate.measured) == (False, "1.00 s at most (read metadata)")
    assert found.verdict.judgement is judged


def exporting(folder: Broken, late_s: float = 0) -> Broken:
    """Traces beside it, five a second; those of the fault are sent `late_s` late, at a 2nd try."""
    for number in range(5 * 30):
        at = 102 + number / 5
        late = late_s if 112 <= at < 115 else 0
        again: dict[str, Any] = {"retries": ["502"]} if late else {}
        for name in ("POST v1/traces", "POST traces"):
            ms = 30 + 1000 * late
            folder.call(at, ms=ms, name=name, planned_ns=int(at * S), exporter=True, **again)
        folder.call(at, name="read a trace", kind="step")
    for line in folder.lines:
        if line["type"] == "sample":
            line["unsent"] = 300 if 112 * S <= line["mono_ns"] < (115 + late_s) * S else 5
    return folder


def test_exports_that_wait_delay_no_user_and_have_figures_of_their_own(tmp_path: Path) -> None:
    folder = exporting(Broken(tmp_path).make(traces=0.5), late_s=6)
    found, broken = result(folder)
    [fault] = broken.faults
    assert (fault.recovered_s, fault.succeeded_after_retry, fault.client_errors) == (0, 0, {})
    assert fault.traces
    assert (fault.traces.recovered_s, fault.traces.recovery_time_s) == (9, 6)
    assert (fault.traces.succeeded_after_retry, fault.traces.most_unsent) == (30, 300)
    assert broken.baseline_rate == pytest.approx(30)
    assert set(fault.kinds) == {*KINDS, *OF_TRACES}
    assert found.verdict.judgement is Judgement.GOOD, found.verdict.reasons
    assert any("30 succeeded after a retry; clients dropped 0" in r for r in found.verdict.reasons)
    assert service_restored(tmp_path / HISTORY)


def test_traces_that_still_wait_keep_the_load_going_on(tmp_path: Path) -> None:
    folder = exporting(Broken(tmp_path).make(traces=0.5), late_s=12)
    found, broken = result(folder)
    assert broken.faults[0].traces
    assert broken.faults[0].traces.recovered_s is None
    assert not service_restored(tmp_path / HISTORY)
    assert found.verdict.judgement is Judgement.BAD
    assert "up to 300 spans and traces waited in clients" in found.verdict.reasons[0]


def test_traces_are_asked_for_where_the_load_has_a_share_of_them(tmp_path: Path) -> None:
    found, broken = result(Broken(tmp_path / "without").make())
    assert set(broken.faults[0].kinds) == set(KINDS)
    assert broken.faults[0].traces is None
    found, broken = result(Broken(tmp_path / "with").make(traces=0.5))
    gate = next(g for g in broken.gates if g.name == GATE)
    assert gate.passed is False
    assert "none during it of: spans sent, trace sent, trace read" in gate.measured
    assert found.verdict.judgement is Judgement.INVALID


def test_faults_stand_in_the_report_and_on_the_terminal(tmp_path: Path) -> None:
    from rich.console import Console

    from workloads.report import terminal
    from workloads.verdict.judge import conclude

    folder = exporting(Broken(tmp_path).make(down_s=2, outage_limit_s=3)).save()
    found = conclude(folder)
    report = (folder / "report.html").read_text()
    assert '<th scope="row">replica-kill</th><td>mlflow</td>' in report
    assert "Probes over time" in report
    assert "--fault replica-kill" in report
    console = Console(width=120, record=True)
    terminal.show(found, console)
    printed = console.export_text()
    assert "HTTP 502 x 40" in printed
    assert "exports of traces around faults" in printed
    assert "Exports of traces around each fault" in report
