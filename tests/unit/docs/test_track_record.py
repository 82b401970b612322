"""The page of defects and their verdicts holds every case, as its file describes it."""

from collections import Counter

from tests.defects import page
from tests.defects.cases import cases
from tests.defects.test_verdicts import QUIET, WRONG_AT_ANY_SPEED


def test_every_case_is_on_the_page_as_its_file_describes_it() -> None:
    there = page.rows(page.PAGE.read_text())
    wanted = {case.name: page.begin(case) for case in cases()}
    assert there.keys() == wanted.keys()
    assert {name: line for name, line in there.items() if not line.startswith(wanted[name])} == {}


def test_there_are_as_many_healthy_servers_as_broken_ones_and_enough() -> None:
    number = Counter(case.folder for case in cases())
    assert number["healthy"] == number["defective"] >= 30


def test_no_two_cases_have_one_name_and_the_sample_is_of_them() -> None:
    names = [case.name for case in cases()]
    assert len(set(names)) == len(names)
    assert {*QUIET, *WRONG_AT_ANY_SPEED} <= set(names)
