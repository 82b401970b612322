"""The page that holds what became of every case: `docs/track-record.md`."""

import re
from collections.abc import Iterable

from scripts.shared.project import ROOT
from tests.defects.cases import JUDGEMENTS, Case, Outcome, cases

PAGE = ROOT / "docs" / "track-record.md"
HEADS = {"defective": "## Broken servers", "healthy": "## Healthy servers"}
COLUMNS = "| server | what it does | scenario | verdict | reason |\n|---|---|---|---|---|"
MOST = 240
"""Characters of a reason: some name whole curves."""


def begin(case: Case) -> str:
    """First columns of a case's row: what does not depend on its verdict."""
    file = f"[`{case.name}`](../tests/defects/{case.folder}/{case.name}.py)"
    return f"| {file} | {case.what} | {case.scenario} |"


def row(outcome: Outcome) -> str:
    """Row of a case."""
    mark = "" if outcome.expected else ", **not as it must be**"
    reason = outcome.reason.replace("|", "\\|")
    short = reason if len(reason) <= MOST else f"{reason[: MOST - 1]}…"
    return f"{begin(outcome.case)} {outcome.judgement}{mark} | {short} |"


def rows(text: str) -> dict[str, str]:
    """Rows of a page by the name of the case."""
    return {name: line for line in text.splitlines() for name in re.findall(r"^\| \[`(\w+)`", line)}


def tables(known: dict[str, str]) -> str:
    """The tables, of the rows that are known, and how many are as they have to be."""
    parts = []
    for folder, head in HEADS.items():
        there = [
            known[case.name] for case in cases() if case.folder == folder and case.name in known
        ]
        as_expected = sum("**not as it must be**" not in line for line in there)
        what = JUDGEMENTS[folder]
        said = f"{as_expected} of {len(there)} were judged {what}, with the words that say why."
        parts.append("\n".join([head, "", said, "", COLUMNS, *there, ""]))
    return "\n".join(parts)


def write(outcomes: Iterable[Outcome]) -> None:
    """Put the rows of these cases into the page, in place of what they got before."""
    text = PAGE.read_text()
    known = rows(text) | {outcome.case.name: row(outcome) for outcome in outcomes}
    above, _, _ = text.partition(HEADS["defective"])
    PAGE.write_text(above + tables(known))
