"""Judges: feedback and expectations on a trace, which are changed, overridden and taken back."""

from collections.abc import Iterator

import mlflow
from mlflow.entities import (
    AssessmentSource,
    AssessmentSourceType,
    Expectation,
    Feedback,
)

from workloads.history.wire import TOKEN_TAG
from workloads.users.answering import Answered
from workloads.users.expected import expect, expect_assessments
from workloads.users.person import Person


def judge(person: Person, one: Answered) -> Iterator[None]:
    """Have a model and a person judge an answer; the person overrides the model, and may regret it.

    After the last change, the trace has to have what is known, and nothing from elsewhere. What the
    client made twice, as an answer was lost, is no wrong answer: the audit counts it.
    """
    session, trace_id = person.session, one.trace_id
    machine = AssessmentSource(AssessmentSourceType.LLM_JUDGE, "judge-1")
    human = AssessmentSource(AssessmentSourceType.HUMAN, f"reviewer-{session.user}")

    tokens: set[str] = set()

    def token() -> dict[str, str]:
        tokens.add(made := session.token())
        return {TOKEN_TAG: made}

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
    expect_assessments(trace_id, person.client.get_trace(trace_id).info.assessments, known, tokens)
    yield


REGRETS = 0.25
"""Share of overrides that are taken back."""
