"""What agents and judges have to be shown: `AssertionError` says that an answer is another one."""

from collections.abc import Collection
from typing import Any

from mlflow.entities import Assessment

from workloads.history.wire import TOKEN_TAG

Shown = tuple[str, Any, bool]
"""Name, value and validity of an assessment."""


def expect_traces(
    what: str, found: list[str], sure: Collection[str], asked: Collection[str]
) -> None:
    """Raise `AssertionError` unless all sure ones were found once, and none that was not asked."""
    missing, others = set(sure) - set(found), set(found) - set(asked)
    if missing or others or len(set(found)) < len(found):
        raise AssertionError(
            f"{what}: {len(found)} traces; {len(missing)} are missing, {len(others)} are other "
            f"ones, as {next(iter(missing or others), 'one that is there twice')}"
        )


def shown(one: Assessment) -> Shown:
    """Return what is compared of an assessment."""
    kept = one.feedback or one.expectation
    return one.name, kept.value if kept else None, one.valid is not False


def expect(one: Assessment, known: Shown) -> None:
    """Raise `AssertionError` if an answer shows another assessment."""
    if (found := shown(one)) != known:
        raise AssertionError(f"assessment {one.assessment_id} is {found}, and was {known}")


def expect_assessments(
    trace_id: str, found: list[Assessment], known: dict[str, Shown], tokens: set[str]
) -> None:
    """Raise `AssertionError` if a trace lacks an assessment that is known, or shows another one.

    Others may be there with one of these tokens: the client made them again.
    """
    there = {str(one.assessment_id): shown(one) for one in found}
    strangers = [
        one.assessment_id
        for one in found
        if one.assessment_id not in known and (one.metadata or {}).get(TOKEN_TAG) not in tokens
    ]
    if strangers or {key: there.get(key) for key in known} != known:
        raise AssertionError(
            f"{trace_id}: its assessments are {sorted(there.values(), key=str)}, and were "
            f"{sorted(known.values(), key=str)}"
        )
