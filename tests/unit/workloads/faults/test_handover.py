"""A change that the launcher makes while a workload has the stack under load."""

import os
from pathlib import Path

import pytest

from tests.unit.workloads.builders import target
from workloads import CannotRunError
from workloads.faults.catalogue import CHANGES, FAULTS, named
from workloads.faults.fault import FaultError
from workloads.faults.handover import FOLDER, UPGRADE, Handover, Step, tell, told
from workloads.faults.lifecycle import inject_and_heal
from workloads.faults.schedule import selected


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FOLDER, str(tmp_path))
    return tmp_path


def test_a_change_is_due_begun_and_done(folder: Path) -> None:
    change, said = Handover(UPGRADE), list[str]()

    def launcher(_: float) -> None:
        """Does its next step whenever the workload waits."""
        assert told(folder, UPGRADE, Step.DUE) == ""
        begun = told(folder, UPGRADE, Step.BEGUN) is not None
        tell(folder, UPGRADE, Step.DONE if begun else Step.BEGUN)

    inject_and_heal(change, lambda: None, lambda state, _: said.append(state.value), launcher)
    assert said == ["injecting", "in effect", "healing", "healed"]


def test_a_change_that_failed_is_not_waited_for(folder: Path) -> None:
    tell(folder, UPGRADE, Step.BEGUN)
    tell(folder, UPGRADE, Step.FAILED, "pulumi up failed with status 255")
    slept: list[float] = []
    with pytest.raises(FaultError, match="pulumi up failed with status 255"):
        inject_and_heal(Handover(UPGRADE), lambda: None, lambda *_: None, slept.append)
    assert slept == []


def test_a_launcher_that_is_gone_is_not_waited_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(folder, UPGRADE, Step.BEGUN)
    change = Handover(UPGRADE)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(FaultError, match="the launcher that makes it has ended"):
        inject_and_heal(change, lambda: None, lambda *_: None)


def test_changes_are_for_who_deployed_the_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(FOLDER, raising=False)
    with pytest.raises(CannotRunError) as error:
        selected(UPGRADE, target(), 1, 1)
    assert "it takes ./scripts/bench STACK --scenario upgrade; it can have noop" in str(error.value)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    assert selected("backup,upgrade", target(), 1, 1) == ("backup", "upgrade")
    assert UPGRADE not in selected("all", target(), 1, 1)


def test_changes_are_found_by_name_and_are_no_faults() -> None:
    assert not FAULTS.keys() & CHANGES.keys()
    assert named(UPGRADE).name == UPGRADE
    assert named("noop") is FAULTS["noop"]
    for change in CHANGES.values():
        assert change.summary
        assert change.meaning
        assert change.outage_limit_s(target()) is None
