"""JUnit XML: what CI systems read, and that it says what the verdict says."""

from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.unit.workloads.builders import Folder, good, lost, stage, unread
from tests.unit.workloads.checkers.test_availability import Broken
from workloads.plan.plan import Load
from workloads.report.junit import render
from workloads.verdict.judge import conclude
from workloads.verdict.result import Freshness, Judgement, Result, Verdict

SCHEMA: dict[str, tuple[set[str], set[str], set[str]]] = {
    # Jenkins' junit-10.xsd: required attributes, other attributes, children.
    "testsuites": (
        set(),
        {"name", "time", "tests", "failures", "errors", "disabled"},
        {"testsuite"},
    ),
    "testsuite": (
        {"name", "tests"},
        {"failures", "errors", "skipped", "disabled", "time", "timestamp", "hostname", "id"},
        {"testcase", "properties", "system-out", "system-err"},
    ),
    "testcase": (
        {"name", "classname"},
        {"time", "status", "assertions"},
        {"skipped", "error", "failure", "system-out", "system-err"},
    ),
    "failure": (set(), {"message", "type"}, set()),
    "error": (set(), {"message", "type"}, set()),
    "skipped": (set(), {"message", "type"}, set()),
    "system-out": (set(), set(), set()),
}


def valid(element: ET.Element) -> None:
    required, other, children = SCHEMA[element.tag]
    assert required <= set(element.attrib) <= required | other, element.attrib
    assert {child.tag for child in element} <= children
    if element.tag == "testsuite":
        cases = element.findall("testcase")
        assert int(element.attrib["tests"]) == len(cases) > 0
        names = [case.attrib["name"] for case in cases]
        assert len(names) == len(set(names)), names
        for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(element.attrib[total]) == len(element.findall(f"testcase/{tag}"))
    if element.tag == "testsuites":
        for total in ("tests", "failures", "errors"):
            suites = element.findall("testsuite")
            assert int(element.attrib[total]) == sum(int(suite.attrib[total]) for suite in suites)
    for child in element:
        valid(child)


def read(folder: Folder) -> tuple[Result, ET.Element]:
    result = conclude(folder.save())
    root = ET.parse(folder.path / "junit.xml").getroot()
    valid(root)
    return result, root


def case(root: ET.Element, suite: str, name: str) -> ET.Element:
    [found] = [
        one
        for one in root.iter("testcase")
        if one.attrib["classname"].endswith(f".{suite}") and one.attrib["name"] == name
    ]
    return found


def outcome(element: ET.Element) -> ET.Element:
    [found] = [child for child in element if child.tag in ("failure", "error", "skipped")]
    return found


def failed(folder: Folder) -> None:
    folder.call(105, outcome="fail", error="HTTP 500: \x00\x1b[31m <no> & no")


def slow(folder: Folder) -> None:
    folder.lines[0]["plan"]["objectives"]["p95_ms"] = 5


def late(folder: Folder) -> None:
    for line in folder.lines:
        if line["type"] == "sample":
            line["lag_ms"] = [90.0] * 50


def slow_and_late(folder: Folder) -> None:
    slow(folder)
    late(folder)


def few(folder: Folder) -> None:
    folder.lines = [
        line for line in folder.lines if line["type"] != "phase" or line["phase"] != "finish"
    ]


@pytest.mark.parametrize(
    ("spoil", "judged"),
    [
        (good, Judgement.GOOD),
        (late, Judgement.GOOD),
        (lost, Judgement.BAD),
        (failed, Judgement.BAD),
        (slow, Judgement.BAD),
        (unread, Judgement.INVALID),
        (slow_and_late, Judgement.INVALID),
        (few, Judgement.INVALID),
    ],
)
def test_failures_and_errors_say_what_the_exit_status_says(
    tmp_path: Path, spoil: Callable[[Folder], None], judged: Judgement
) -> None:
    folder = Folder(tmp_path).good_run()
    spoil(folder)
    result, root = read(folder)
    assert result.verdict.judgement is judged
    failures, errors = int(root.attrib["failures"]), int(root.attrib["errors"])
    match judged:
        case Judgement.GOOD:
            assert (failures, errors) == (0, 0)
        case Judgement.BAD:
            assert failures > 0
        case Judgement.INVALID:
            assert failures == 0
            assert errors > 0


def test_there_is_a_case_for_each_gate_objective_and_kind(tmp_path: Path) -> None:
    result, root = read(Folder(tmp_path).good_run())
    for gate in result.gates:
        case(root, "gates", gate.name)
    for gate in result.stages[0].gates:
        case(root, "gates of 2 users", gate.name)
    assert case(root, "objectives", "p95 of 2 users").attrib["time"] == "10.000"
    case(root, "objectives", "rate of 2 users")
    for kind in result.durability.kinds:
        case(root, "audit", kind)
    said = case(root, "verdict", "verdict").findtext("system-out")
    assert said is not None
    assert said.startswith("Nothing lost: all 4 acknowledged records were read back")


def test_what_was_lost_is_a_failure_with_its_findings(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    lost(folder)
    result, root = read(folder)
    found = outcome(case(root, "audit", "metric point"))
    assert (found.tag, found.attrib["message"]) == ("failure", "1 lost")
    assert found.text == f"1 lost of 1 acknowledged\n{result.durability.findings[0]}"
    assert not list(case(root, "audit", "param"))
    whole = outcome(case(root, "verdict", "verdict"))
    assert whole.attrib["message"] == result.verdict.reasons[0]
    assert whole.text == "\n".join(result.verdict.reasons)


def test_a_missed_objective_is_told_in_the_words_of_the_verdict(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    slow(folder)
    result, root = read(folder)
    found = outcome(case(root, "objectives", "p95 of 2 users"))
    assert (found.tag, found.attrib["message"]) == ("failure", result.verdict.reasons[0])


def test_bounds_are_skipped_and_an_undecided_objective_is_an_error(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    slow_and_late(folder)
    _, root = read(folder)
    bound = outcome(case(root, "gates of 2 users", "loop lag while a call waits"))
    assert bound.tag == "skipped"
    assert bound.attrib["message"].startswith("p99 90.0 ms of 1000 samples; the limit is p99 ≤ 20")
    found = outcome(case(root, "objectives", "p95 of 2 users"))
    assert found.tag == "error"
    assert "The generator itself may have added 90 ms." in found.attrib["message"]


def test_a_stage_that_decides_nothing_fails_nothing(tmp_path: Path) -> None:
    """Of a climb the knee decides; that a stage before it had few calls is told."""
    folder = Folder(tmp_path).api_run(
        stage(name="1 user", users=1, load_s=0.1),
        stage(name="25 at once", load=Load.OPEN, rate=60, load_s=10),
        calls=10,
    )
    for number in range(600):
        folder.call(202.001 + number / 60, planned_ns=int((202.001 + number / 60) * 1e9))
    folder.lines.sort(key=lambda line: line["mono_ns"])
    _, root = read(folder)
    found = outcome(case(root, "gates of 1 user", "enough samples"))
    assert found.tag == "skipped"
    assert "it decides nothing here" in found.attrib["message"]


def test_each_fault_is_a_case_with_its_time(tmp_path: Path) -> None:
    result, root = read(Broken(tmp_path / "1").make(down_s=2, outage_limit_s=1))
    found = case(root, "faults", "1. replica-kill (mlflow)")
    assert result.resilience
    assert found.attrib["time"] == f"{result.resilience.faults[0].observed_s:.3f}"
    assert outcome(found).tag == "failure"
    assert outcome(found).attrib["message"] == result.verdict.reasons[0]
    _, root = read(Broken(tmp_path / "2").make(down_s=2, outage_limit_s=3))
    assert not list(case(root, "faults", "1. replica-kill (mlflow)"))
    _, root = read(Broken(tmp_path / "3").make(states=("injecting", "failed", "healing", "healed")))
    assert outcome(case(root, "faults", "1. replica-kill (mlflow)")).tag == "error"


def test_an_objective_of_one_operation_is_a_case(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    aims = {"GET runs/get": {"p95_ms": 5}, "POST runs/update": {"p95_ms": 500}}
    folder.lines[0]["plan"]["objectives"]["operations"] = aims
    _, root = read(folder)
    found = outcome(case(root, "objectives", "p95_ms of GET runs/get of 2 users"))
    assert found.tag == "failure"
    assert "the objective is ≤ 5" in found.attrib["message"]
    assert not list(case(root, "objectives", "p95_ms of POST runs/update of 2 users"))


def test_stale_reads_fail_and_what_was_not_audited_is_skipped(tmp_path: Path) -> None:
    result, root = read(Folder(tmp_path).good_run())
    assert not list(case(root, "audit", "reads of the load"))
    fresh = Freshness(
        reads=9, stale=2, unexpected=0, max_staleness_s=0.5, findings=["stale: a", "b"]
    )
    result.freshness = fresh
    result.durability.not_audited = {"POST webhooks": 3}
    result.verdict = Verdict(judgement=Judgement.BAD, reasons=["2 of 9 reads were stale."])
    root = ET.fromstring(render(result))
    valid(root)
    found = outcome(case(root, "audit", "reads of the load"))
    assert (found.tag, found.text) == (
        "failure",
        "2 stale and 0 unexpected of 9\nstale: a\nb",
    )
    assert outcome(case(root, "audit", "not audited: POST webhooks")).tag == "skipped"
