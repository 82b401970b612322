"""What agents and judges take for a wrong answer."""

import pytest
from mlflow.entities import Assessment, Expectation, Feedback

from workloads.history.wire import TOKEN_TAG
from workloads.users.expected import Shown, expect, expect_assessments, expect_traces

KNOWN: dict[str, Shown] = {"a-1": ("score", 1, False), "a-2": ("score", 2, True)}
TOKENS = {"t1", "t2"}


def feedback(own_id: str, value: int, token: str, *, valid: bool = True) -> Assessment:
    made = Feedback(name="score", value=value, metadata={TOKEN_TAG: token}, valid=valid)
    made.assessment_id = own_id
    return made


def judged(*found: Assessment) -> None:
    expect_assessments("tr-1", list(found), KNOWN, TOKENS)


FIRST = feedback("a-1", 1, "t1", valid=False)
SECOND = feedback("a-2", 2, "t2")


def test_a_trace_has_what_its_judges_said_in_any_order() -> None:
    judged(SECOND, FIRST)


def test_what_was_made_twice_is_left_to_the_audit() -> None:
    judged(FIRST, SECOND, feedback("a-3", 2, "t2"))


@pytest.mark.parametrize(
    "found",
    [
        [FIRST],
        [FIRST, feedback("a-2", 3, "t2")],
        [feedback("a-1", 1, "t1"), SECOND],
        [FIRST, SECOND, feedback("a-4", 2, "of another")],
    ],
    ids=["one is missing", "another value", "valid though overridden", "one of others"],
)
def test_other_answers_are_wrong(found: list[Assessment]) -> None:
    with pytest.raises(AssertionError, match=r"^tr-1: its assessments are \["):
        judged(*found)


def test_an_expectation_is_compared_as_a_whole() -> None:
    expect(Expectation(name="expected", value={"a": [1]}), ("expected", {"a": [1]}, True))
    with pytest.raises(AssertionError, match=r"and was \('expected', \{'a': \[2\]\}, True\)"):
        expect(Expectation(name="expected", value={"a": [1]}), ("expected", {"a": [2]}, True))


def test_a_search_gives_all_sure_traces_and_none_that_nobody_asked_for() -> None:
    expect_traces("session", ["tr-1", "tr-2"], sure={"tr-1"}, asked={"tr-1", "tr-2", "tr-3"})
    for found, said in (
        (["tr-2"], "1 traces; 1 are missing, 0 are other ones, as tr-1"),
        (["tr-1", "tr-9"], "2 traces; 0 are missing, 1 are other ones, as tr-9"),
        (["tr-1", "tr-1"], "2 traces; 0 are missing, 0 are other ones, as one that is there twice"),
    ):
        with pytest.raises(AssertionError, match=f"^session: {said}$"):
            expect_traces("session", found, sure={"tr-1"}, asked={"tr-1", "tr-2"})
