"""Broken servers are flagged, with the right words, and healthy ones are not: the track record."""

from collections.abc import Iterator

import pytest

from tests.defects.cases import Case, Track, cases, track

WRONG_AT_ANY_SPEED = (
    "loses_batches",
    "leaves_spans_out",
    "corrupts_downloads",
    "alias_points_back",
    "answers_a_login_page",
    "files_on_one_replica",
)
"""Run with every change, beside other tests: their verdict does not depend on how fast they are."""

QUIET = ("team", "closes_each_time", "below_a_path")
"""Run with every change. All others take 10 to 20 s each."""


def marked(case: Case) -> object:
    mark = pytest.mark.quiet if case.name in QUIET else pytest.mark.thorough
    marks = () if case.name in WRONG_AT_ANY_SPEED else (mark,)
    return pytest.param(case, id=f"{case.folder}/{case.name}", marks=marks)


@pytest.fixture(scope="module")
def running() -> Iterator[Track]:
    with track() as made:
        yield made


@pytest.mark.parametrize("case", [marked(case) for case in cases()])
def test_a_server_gets_the_verdict_that_it_deserves(case: Case, running: Track) -> None:
    outcome = running.run(case)
    assert outcome.expected, outcome.said
