"""The tables of clients, as they are worded and put into a page."""

import pytest

from scripts.benchmarks.clients import Tried, cell, tables, written

WORKS = {"outcome": "works", "not_at_once": []}


def test_cells() -> None:
    assert cell(WORKS) == "works"
    again = WORKS | {"not_at_once": ["POST /a 503", "POST /a lost"]}
    assert cell(again) == "works; at first POST /a 503, POST /a lost"
    assert cell(WORKS | {"outcome": "absent"}) == "has none"
    assert cell(WORKS | {"outcome": "KeyError: a|b"}) == "fails: KeyError: a\\|b"


def test_what_a_client_did_not_reach_is_told() -> None:
    whole = Tried("3.1", {"search": "works", "end": "works"}, {("create", "502"): "call succeeds"})
    ended = Tried("2.2", {"search": "works", "all the rest": "ended by itself: killed"})
    emulated = Tried("3.1 as 3.2", {"search": "works"}, {("create", "502"): "call fails"})
    lines = list(tables([whole, ended, emulated], ["Not tried: mlflow 9: none."]))
    assert lines[0] == "|  | 3.1 | 2.2 |"
    assert "| end | works | not reached |" in lines
    assert "| all the rest | not reached | ended by itself: killed |" in lines
    assert "| create | 502, not done | call succeeds | not reached | call fails |" in lines
    assert lines[-1] == "Not tried: mlflow 9: none."


def test_a_page_without_a_place_for_tables_is_refused() -> None:
    page = "before\n<!-- clients -->\n\nold\n\n<!-- end -->\nafter\n"
    assert written(page, ["new"]) == page.replace("old", "new")
    for wrong in ("", "<!-- clients -->", "<!-- end -->"):
        with pytest.raises(ValueError, match="it has no"):
            written(wrong, [])
