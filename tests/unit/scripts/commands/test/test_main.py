"""Which status `scripts/test` ends with, by what its steps end with."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from scripts.commands.test import __main__ as command


@pytest.mark.parametrize(
    ("tests", "failed", "alone", "status", "runs"),
    [
        pytest.param((0, 0), 0, None, 0, 2, id="all pass"),
        pytest.param((1, 0), 1, 0, 0, 3, id="one fails, and passes alone"),
        pytest.param((0, 1), 1, 0, 0, 3, id="one that measures fails, and passes alone"),
        pytest.param((1, 1), 3, 1, 1, 3, id="one of three fails alone, too"),
        pytest.param((1, 0), 4, None, 1, 2, id="too many fail for an accident"),
        pytest.param((2, 0), 1, None, 2, 2, id="interrupted"),
        pytest.param((1, 5), 1, None, 1, 2, id="nothing was collected"),
    ],
)
def test_status(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    tests: tuple[int, int],
    failed: int,
    alone: int | None,
    status: int,
    runs: int,
) -> None:
    names = [f"tests/test_{number}.py::test" for number in range(failed)]
    last_failed = tmp_path / "lastfailed"
    last_failed.write_text(json.dumps(dict.fromkeys(names, True)))
    steps = iter([*tests, alone])
    ran = []

    def run(argv: Sequence[str]) -> int:
        ran.append(argv)
        step = next(steps)
        assert step is not None, argv
        return step

    monkeypatch.setattr(command, "LAST_FAILED", last_failed)
    monkeypatch.setattr(command, "first_failure", lambda commands: 0)
    monkeypatch.setattr(command, "run", run)
    assert command.check([], everything=False) == status
    assert len(ran) == runs
    told = capsys.readouterr().out
    assert ("passed alone" in told) == (alone == 0)
    assert all((name in told) == (alone is not None) for name in names)
