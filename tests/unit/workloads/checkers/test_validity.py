"""Each gate passes a good run and stops a bad one."""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.workloads.builders import MS, Folder, S
from workloads.checkers import validity
from workloads.history import record


def states(folder: Folder) -> dict[str, bool | None]:
    read = record.load(folder.save() / "history.jsonl")
    gates = [*validity.run_gates(read), *validity.stage_gates(read, read.windows[0])]
    return {gate.name: gate.passed for gate in gates}


def drop(folder: Folder, type_: str) -> None:
    folder.lines = [line for line in folder.lines if line["type"] != type_]


def change(folder: Folder, type_: str, **fields: object) -> None:
    for line in folder.lines:
        if line["type"] == type_:
            line.update(fields)


def slow_first_half(folder: Folder) -> None:
    for line in folder.lines:
        if line["type"] == "ok" and 102 * S <= line["mono_ns"] < 107 * S:
            line["mono_ns"] += 10 * MS


def few_in_first_half(folder: Folder) -> None:
    for number in range(200):
        folder.call(107.5 + number / 50, name="GET runs/get")


def forget_finish(folder: Folder) -> None:
    folder.lines = [line for line in folder.lines if line.get("phase") != "finish"]


def no_steps(folder: Folder) -> None:
    folder.lines = [line for line in folder.lines if line.get("name") != "curves"]
    kept = {line["op"] for line in folder.lines if line["type"] == "invoke"}
    folder.lines = [line for line in folder.lines if "op" not in line or line["op"] in kept]


CASES: dict[str, tuple[str, Callable[[Folder], None]]] = {
    "interrupted": ("run complete", lambda f: f.event("interrupted", 105)),
    "cut short": ("run complete", forget_finish),
    "no steps": ("enough samples", no_steps),
    "client CPU": ("client CPU in calls", lambda f: change(f, "sample", call_cpu_s=0.71)),
    "no CPU samples": ("client CPU in calls", lambda f: drop(f, "sample")),
    "loop lag": (
        "loop lag while a call waits",
        lambda f: change(f, "sample", lag_ms=[1.0] * 48 + [21.0] * 2),
    ),
    "no lag samples": ("loop lag while a call waits", lambda f: change(f, "sample", lag_ms=[])),
    "drift": ("warm-up settled", slow_first_half),
    "slow start": ("warm-up settled", few_in_first_half),
    "user gone": ("users alive to the end", lambda f: f.event("user_ended", 105, user=1, status=9)),
}


def test_a_good_run_passes_every_gate(tmp_path: Path) -> None:
    assert set(states(Folder(tmp_path).good_run()).values()) == {True}


@pytest.mark.parametrize("case", CASES)
def test_each_gate_stops_what_it_is_for(tmp_path: Path, case: str) -> None:
    gate, spoil = CASES[case]
    folder = Folder(tmp_path).good_run()
    spoil(folder)
    assert states(folder)[gate] is False


def test_halves_that_differ_by_chance_alone_are_settled(tmp_path: Path) -> None:
    """Calls of which half, whichever they are, take 40 ms more: medians of few are far apart."""
    said = []
    for seed in range(8):
        draw = random.Random(seed)
        folder = Folder(tmp_path / str(seed)).good_run()
        for line in folder.lines:
            if line["type"] == "ok":
                line["mono_ns"] += draw.choice((0, 40)) * MS
        read = record.load(folder.save() / "history.jsonl")
        gates = {gate.name: gate for gate in validity.stage_gates(read, read.windows[0])}
        assert gates["warm-up settled"].passed, gates["warm-up settled"].measured
        said.append(gates["warm-up settled"].measured)
    assert any("by chance in" in one for one in said), said


def test_too_few_calls_are_not_enough(tmp_path: Path) -> None:
    assert states(Folder(tmp_path).good_run(calls=150))["enough samples"] is False


def test_lag_at_the_limit_passes(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    change(folder, "sample", lag_ms=[20.0] * 50, call_cpu_s=0.7)
    assert set(states(folder).values()) == {True}


def test_model_fits_are_not_client_cpu(tmp_path: Path) -> None:
    folder = Folder(tmp_path).good_run()
    change(folder, "sample", cpu_s=1.0)
    assert states(folder)["client CPU in calls"] is True


@pytest.mark.parametrize(("p95_ms", "passed"), [(50, False), (1000, True)])
def test_limits_follow_the_objective(tmp_path: Path, p95_ms: float, passed: bool) -> None:
    """A lag of 21 ms matters for an objective of 50 ms, and not for one of a second."""
    folder = Folder(tmp_path).good_run()
    folder.lines[0]["plan"]["objectives"]["p95_ms"] = p95_ms
    change(folder, "sample", lag_ms=[21.0] * 50)
    assert states(folder)["loop lag while a call waits"] is passed
