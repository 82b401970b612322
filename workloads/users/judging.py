"""Judges: feedback and expectations on a trace, which are changed, overridden and taken back."""

from collections.abc import Iterator
from typing import Any

import mlflow
from mlflow.entities import (
    Assessment,
    AssessmentSource,
    AssessmentSourceType,
    Expectation,
    Feedback,
)

from workloads.history.wire import TOKEN_TAG
from workloads.users.answering import Answered
from workloads.users.person import Person

Shown = tuple[str, Any, bool]
"""Name, value and validity of an assessment."""


def judge(person: Person, one: Answered) -> Iterator[None]:
    """Have a model and a person judge an answer; the person overrides the model, and may regret it.

    After the last change, the trace has to have exactly what is known.
    """
    session, trace_id = person.session, one.trace_id
    machine = AssessmentSource(AssessmentSourceType.LLM_JUDGE, "judge-1")
    human = AssessmentSource(AssessmentSourceType.HUMAN, f"reviewer-{session.user}")

    def token() -> dict[str, str]:
        return {TOKEN_TAG: session.token()}

    score = session.random.randrange(100) / 100
    by_machine = mlflow.log_feedback(
        trace_id=trace_id,
        name="relevance",
        value=score,
        rationale=f"it says {one.answer}",
        source=machine,
        metadata=token(),
    )
    expect(by_machine, ("relevance", score, True))
    yield
    by_human = mlflow.log_assessment(
        trace_id, Feedback(name="correct", value=True, source=human, metadata=token())
    )
    expect(by_human, ("correct", True, True))
    yield
    wanted = {"answer": one.answer, "sources": ["a.md"]}
    expectation = mlflow.log_expectation(
        trace_id=trace_id, name="expected", value=wanted, source=human, metadata=token()
    )
    expect(expectation, ("expected", wanted, True))
    yield
    changed = mlflow.update_assessment(
        trace_id,
        str(by_human.assessment_id),
        Feedback(name="correct", value=False, rationale="not quite", metadata={"seen": "twice"}),
    )
    expect(changed, ("correct", False, True))
    yield
    wanted = wanted | {"sources": ["a.md", "b.md"]}
    changed = mlflow.update_assessment(
        trace_id, str(expectation.assessment_id), Expectation(name="expected", value=wanted)
    )
    expect(changed, ("expected", wanted, True))
    yield
    overriding = mlflow.override_feedback(
        trace_id=trace_id,
        assessment_id=str(by_machine.assessment_id),
        value=1 - score,
        rationale="the judge is wrong",
        source=human,
        metadata=token(),
    )
    expect(overriding, ("relevance", 1 - score, True))
    yield
    expect(
        mlflow.get_assessment(trace_id, str(by_machine.assessment_id)), ("relevance", score, False)
    )
    yield
    known = {
        str(by_machine.assessment_id): ("relevance", score, False),
        str(by_human.assessment_id): ("correct", False, True),
        str(expectation.assessment_id): ("expected", wanted, True),
        str(overriding.assessment_id): ("relevance", 1 - score, True),
    }
    if session.random.random() < REGRETS:
        mlflow.delete_assessment(trace_id, str(overriding.assessment_id))
        del known[str(overriding.assessment_id)]
        known[str(by_machine.assessment_id)] = ("relevance", score, True)
        yield
    info = person.client.get_trace(trace_id).info
    found = {each.assessment_id: shown(each) for each in info.assessments}
    if found != known:
        raise AssertionError(
            f"{trace_id}: its assessments are {sorted(found.values(), key=str)}, and were "
            f"{sorted(known.values(), key=str)}"
        )
    yield


REGRETS = 0.25
"""Share of overrides that are taken back."""


def shown(one: Assessment) -> Shown:
    """Return what is compared of an assessment."""
    kept = one.feedback or one.expectation
    return one.name, kept.value if kept else None, one.valid is not False


def expect(one: Assessment, known: Shown) -> None:
    """Raise `AssertionError` if an answer shows another assessment."""
    if (found := shown(one)) != known:
        raise AssertionError(f"assessment {one.assessment_id} is {found}, and was {known}")
