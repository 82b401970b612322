"""Which runs are tried once more, and where the first try is kept."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.workloads.builders import Folder
from workloads.runner import retry
from workloads.verdict.judge import conclude


def as_it_is(folder: Folder) -> None:
    pass


def ended_early(folder: Folder) -> None:
    folder.event("user_ended", 105, user=1, status=9)


def interrupted(folder: Folder) -> None:
    folder.event("interrupted", 105)


def unread(folder: Folder) -> None:
    folder.read = []


def failed(folder: Folder) -> None:
    folder.call(105, outcome="info", error="HTTP 500: boom")


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (as_it_is, False),
        (failed, False),
        (ended_early, True),
        (interrupted, False),
        (unread, False),
    ],
)
def test_what_another_try_may_decide(
    tmp_path: Path, spoil: Callable[[Folder], None], expected: bool
) -> None:
    folder = Folder(tmp_path).good_run()
    spoil(folder)
    assert retry.is_worthwhile(conclude(folder.save())) is expected


def test_the_first_try_is_kept_without_what_scripts_left(tmp_path: Path) -> None:
    for name in ("history.jsonl", "result.json", "deploy.json", "run.log"):
        (tmp_path / name).write_text(name)
    aside = retry.set_aside(tmp_path)
    assert sorted(path.name for path in aside.iterdir()) == ["history.jsonl", "result.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "deploy.json",
        "run.log",
        "undecided",
    ]
