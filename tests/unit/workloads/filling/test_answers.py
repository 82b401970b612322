"""What a search has to find, and what of another answer is said."""

import numpy as np
import pytest

from workloads.filling import facts
from workloads.filling.answers import PAGE, Known, check
from workloads.filling.facts import Shape

KNOWN = Known(Shape(250, 1_700_000_000_000, 1000))


def ids(*numbers: int) -> list[str]:
    return [facts.request_id(number) for number in numbers]


def test_the_latest_come_first_by_pages() -> None:
    everything = np.ones(250, bool)
    assert KNOWN.latest(everything) == list(range(249, 149, -1))
    assert KNOWN.latest(everything, 3) == list(range(249, -1, -1))
    assert len(KNOWN.latest(everything, 2)) == 2 * PAGE
    assert KNOWN.latest(facts.failed(KNOWN.numbers)) == list(range(239, 0, -20))
    assert KNOWN.latest(np.zeros(250, bool)) == []


def test_columns_are_those_of_the_shape() -> None:
    assert KNOWN.began_ms[7] == KNOWN.shape.began_ms(7)
    assert KNOWN.durations_ms[7] == facts.duration_ms(7)


def test_the_right_answer_passes() -> None:
    check("by tag", ids(3, 2, 1), [3, 2, 1])
    check("by tag", [], [])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (ids(3, 2), "by tag: 2 traces, and there are 3"),
        (ids(3, 2, 1, 0), "by tag: 4 traces, and there are 3"),
        (ids(3, 2, 9), "by tag: 1 wrong traces, as number 9"),
        (ids(1, 2, 3), "by tag: the traces are not in order"),
        (ids(3, 3, 1), "by tag: the traces are not in order"),
        (["another", None, ""], "a trace has the client request id 'another'"),
    ],
)
def test_another_answer_is_a_sentence(found: list[str | None], said: str) -> None:
    with pytest.raises(AssertionError, match=said):
        check("by tag", found, [3, 2, 1])
