"""The verdict as JUnit XML: a case for each gate, objective, fault and kind of thing.

A good run has no failure and no error, a bad one a failure at least, an invalid one errors alone:
so a CI system shows what the exit status says. What decides nothing is skipped, with its reason: a
gate that could not be looked at, or whose figures are bounds.

The elements are those of Ant's report as Jenkins' `junit-10.xsd` has them; GitLab and the reporters
of GitHub read the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from xml.etree import ElementTree as ET

from workloads.checkers import objectives
from workloads.verdict import verdict
from workloads.verdict.result import DurabilityVerdict, Gate, Judgement, KindSets, Result

JUNIT = "junit.xml"

FIRST = 10
"""Findings that a case tells; all are in `result.json`."""

_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class Case:
    """A case and what became of it; `outcome` None: it passed."""

    name: str
    outcome: Literal["failure", "error", "skipped"] | None = None
    message: str = ""
    """In one line."""
    detail: str = ""
    seconds: float | None = None
    output: str = ""


def render(result: Result) -> str:
    """Return the document."""
    plan = result.plan
    suites = [("verdict", _verdict(result)), ("gates", _gates(result)), *_stages(result)]
    suites += [("objectives", _objectives(result)), ("faults", _faults(result))]
    suites += [("audit", _audit(result))]
    name = f"{plan.subject}.{plan.scenario}"
    root = ET.Element("testsuites", {"name": name})
    # The classes of the standard's schema have neither zone nor fraction.
    moment = f"{datetime.fromisoformat(plan.started):%Y-%m-%dT%H:%M:%S}"
    for title, cases in suites:
        if cases:
            root.append(_suite(f"{name}.{title}", moment, cases))
    for total in ("tests", "failures", "errors"):
        root.set(total, str(sum(int(suite.get(total, 0)) for suite in root)))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, "unicode") + "\n"


def _suite(name: str, moment: str, cases: list[Case]) -> ET.Element:
    timed = [case.seconds for case in cases if case.seconds is not None]
    suite = ET.Element(
        "testsuite",
        {
            "name": _clean(name),
            "timestamp": moment,
            "tests": str(len(cases)),
            "failures": str(sum(case.outcome == "failure" for case in cases)),
            "errors": str(sum(case.outcome == "error" for case in cases)),
            "skipped": str(sum(case.outcome == "skipped" for case in cases)),
            **({"time": f"{sum(timed):.3f}"} if timed else {}),
        },
    )
    for case in cases:
        known = {"classname": _clean(name), "name": _clean(case.name)}
        if case.seconds is not None:
            known["time"] = f"{case.seconds:.3f}"
        element = ET.SubElement(suite, "testcase", known)
        if case.outcome:
            outcome = ET.SubElement(element, case.outcome, {"message": _clean(case.message)})
            if case.outcome != "skipped":
                outcome.set("type", case.outcome)
                outcome.text = _clean(case.detail or case.message)
        if case.output:
            ET.SubElement(element, "system-out").text = _clean(case.output)
    return suite


def _verdict(result: Result) -> list[Case]:
    reasons = result.verdict.reasons
    what = None if result.verdict.judgement is Judgement.GOOD else _wrong(result)
    output = "\n".join([*reasons, *(f"not done: {reason}" for reason in result.not_done)])
    return [Case("verdict", what, reasons[0], "\n".join(reasons), output=output)]


def _wrong(result: Result) -> Literal["failure", "error"]:
    """What is missed is an error in an invalid run: it is not known by whose fault."""
    return "failure" if result.verdict.judgement is Judgement.BAD else "error"


def _gates(result: Result) -> list[Case]:
    own = [*result.gates, *(result.resilience.gates if result.resilience else [])]
    return [_gate(gate, decides=True) for gate in own]


def _stages(result: Result) -> Iterator[tuple[str, list[Case]]]:
    for stage in result.stages:
        judged = stage.stage.name == result.judged_stage
        cases = [_gate(gate, decides=judged) for gate in stage.gates]
        yield f"gates of {stage.stage.name}", cases


def _gate(gate: Gate, *, decides: bool) -> Case:
    message = f"{gate.measured}; the limit is {gate.limit}"
    if gate.passed:
        return Case(gate.name)
    if gate.passed is None:
        return Case(gate.name, "skipped", f"could not be looked at: {gate.measured}")
    if gate.one_sided:
        return Case(gate.name, "skipped", f"{message}: the figures are bounds. {gate.remedy}")
    if decides and verdict.decides(gate):
        return Case(gate.name, "error", message, f"{message}. {gate.remedy}")
    return Case(gate.name, "skipped", f"{message}: it decides nothing here. {gate.remedy}")


def _objectives(result: Result) -> list[Case]:
    stage = result.judged
    if stage is None:
        return []
    outcomes = objectives.outcomes(result.plan, stage, result.operations, None, [])
    outcomes += [
        objectives.Outcome(outcome.met, outcome.message, f"{outcome.objective} of {outcome.name}")
        for outcome in result.objectives
    ]
    return [
        _missed(result, f"{outcome.objective} of {stage.stage.name}", [outcome], stage.load_s)
        for outcome in outcomes
    ]


def _faults(result: Result) -> list[Case]:
    cases = []
    for number, fault in enumerate(result.resilience.faults if result.resilience else [], 1):
        assert result.resilience
        alone = result.resilience.model_copy(update={"faults": [fault]})
        name = f"{number}. {objectives.named(fault)}"
        if fault.fault_error:
            cases.append(Case(name, "error", fault.fault_error, seconds=fault.observed_s))
        else:
            cases.append(_missed(result, name, objectives.broken(alone), fault.observed_s))
    return cases


def _missed(result: Result, name: str, outcomes: list[objectives.Outcome], seconds: float) -> Case:
    missed = [outcome.message for outcome in outcomes if outcome.met is False]
    undecided = [outcome.message for outcome in outcomes if outcome.met is None]
    if missed:
        return Case(name, _wrong(result), missed[0], "\n".join(missed), seconds)
    if undecided:
        # In a bad run they are what nobody looks for any more.
        outcome: Literal["skipped", "error"] = (
            "skipped" if result.verdict.judgement is Judgement.BAD else "error"
        )
        message = f"Undecided: {undecided[0]}"
        return Case(name, outcome, message, "\n".join(undecided), seconds)
    return Case(name, seconds=seconds)


def _audit(result: Result) -> list[Case]:
    kept = result.durability
    return [
        *(_kind(result, name, sets) for name, sets in kept.kinds.items()),
        *_freshness(result),
        *(
            Case(f"not audited: {route}", "skipped", f"{count} acknowledged, not looked at")
            for route, count in kept.not_audited.items()
        ),
    ]


def _freshness(result: Result) -> Iterator[Case]:
    fresh = result.freshness
    if fresh is None:
        return
    name = "reads of the load"
    if not fresh.findings:
        yield Case(name)
        return
    message = f"{fresh.stale} stale and {fresh.unexpected} unexpected of {fresh.reads}"
    yield Case(name, _wrong(result), message, "\n".join([message, *fresh.findings[:FIRST]]))


def _kind(result: Result, name: str, sets: KindSets) -> Case:
    wrong = {
        what: number
        for what in ("lost", "unexpected", "duplicates", "differing")
        if (number := getattr(sets, what))
    }
    if wrong:
        message = ", ".join(f"{number} {what}" for what, number in wrong.items())
        own = [line for line in result.durability.findings if f": {name} " in line]
        detail = "\n".join([f"{message} of {sets.acknowledged} acknowledged", *own[:FIRST]])
        return Case(name, _wrong(result), message, detail)
    if sets.unread and result.durability.verdict is DurabilityVerdict.UNKNOWN:
        why = "\n".join(result.durability.read_errors[:FIRST])
        return Case(name, "error", f"{sets.unread} were never read back", why)
    return Case(name)


def _clean(text: str) -> str:
    """What servers say may hold characters that XML has no place for."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", text)
