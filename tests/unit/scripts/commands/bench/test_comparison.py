"""The order of a comparison, what it goes on after, and what it refuses before anything is made."""

import dataclasses
import json
import socket
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.commands.bench import results
from scripts.commands.bench.comparison import runner, schedule
from scripts.commands.bench.comparison.schedule import Plan, Program, Step
from scripts.commands.bench.scenarios import deploy, scale_out
from scripts.commands.setup import cluster, plugins
from scripts.shared import machine as system
from scripts.shared import ui
from scripts.shared.status import Status
from scripts.stack import files, leftovers, snapshot, updates
from tests.ports import free_port
from tests.unit import run_arguments
from workloads.commands.application import main
from workloads.comparison import layout
from workloads.faults.catalogue import FAULTS

STACKS = ["local", "single-az", "multi-az"]


def program(blocks: int, duplicate: bool) -> Program:
    return Program(blocks, duplicate, (Step("training", ()), Step("metrics", ("--users", "8"))))


@pytest.mark.parametrize("seed", range(5))
def test_every_block_has_every_stack_and_one_of_them_twice(seed: int) -> None:
    blocks = schedule.order(STACKS, program(6, duplicate=True), seed)
    assert len(blocks) == 6
    doubles = []
    for block in blocks:
        (double,) = [stack for stack, times in Counter(block).items() if times == 2]
        assert set(block) == set(STACKS)
        doubles.append(double)
    assert Counter(doubles) == dict.fromkeys(STACKS, 2)  # each has its turn


def test_the_order_follows_the_seed() -> None:
    orders = {schedule.order(STACKS, program(4, duplicate=False), seed) for seed in range(20)}
    assert len(orders) > 15
    assert schedule.order(STACKS, program(4, True), 7) == schedule.order(
        STACKS, program(4, True), 7
    )


def plan(*blocks: tuple[str, ...]) -> Plan:
    return Plan(
        profile="quick",
        baseline=blocks[0][0],
        blocks=blocks,
        left_out={},
        steps=program(1, False).steps,
        seed=1,
        seeds=tuple(range(101, 101 + len(blocks))),
        started="2026-01-02T03:04:05+00:00",
    )


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = plan(("a", "b", "a"), ("b", "a", "b"))
    written.save(tmp_path)
    assert Plan.load(tmp_path) == written
    assert [slot.name for slot in written.slots() if slot.duplicate] == ["1-3-a", "2-3-b"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 9}'])
def test_a_damaged_plan_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / layout.PLAN).write_text(text)
    with pytest.raises(ValueError, match=r"^\S+/comparison\.json: is [^\n]+$"):
        Plan.load(tmp_path)


class Machine:
    """Stands in for the engine and the workloads; fails or is interrupted where it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.seeds: list[str] = []
        self.fails: set[str] = set()
        self.interrupted: set[str] = set()
        self.there: set[str] = set()

    def pulumi(self, stack: str, verb: str, **_: object) -> SimpleNamespace:
        if verb == "up":  # one that fails leaves a part
            self.there.add(stack)
        self._call(f"{verb} {stack}")
        if verb == "destroy":
            self.there.discard(stack)
        return SimpleNamespace(took_s=1.0)

    def run(self, part: str, what: str, argv: list[str], *, log: Path, **_: Any) -> float:
        log.write_text("progress\npython -m workloads: the last word\n")
        self.seeds.append(argv[argv.index("--seed") + 1])
        if f"{what} {part} cannot" not in self.fails:
            (log.parent / "result.json").write_text("{}")
        self._call(f"{what} {part}")
        return 1.0

    def state(self, stack: str) -> snapshot.Snapshot:
        return snapshot.Snapshot(resources=int(stack in self.there))

    def _call(self, call: str) -> None:
        self.calls.append(call)
        if call in self.interrupted:
            raise KeyboardInterrupt
        if call in self.fails:
            raise ui.CommandError(call, "failed with status 1", status=1)
        if f"{call} cannot" in self.fails:
            raise ui.CommandError(call, "failed with status 2", status=2)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(updates, "_update", found.pulumi)
    monkeypatch.setattr(ui, "run", found.run)
    monkeypatch.setattr(updates, "unlock", lambda stack: None)
    monkeypatch.setattr(snapshot, "read", found.state)
    monkeypatch.setattr(leftovers, "remove_labelled", lambda deployments: iter(()))
    monkeypatch.setattr(plugins, "build_for", lambda stacks: None)
    monkeypatch.setattr(cluster, "wanted", lambda stacks: False)
    monkeypatch.setattr(plugins, "build_for", lambda stacks: None)
    return found


def ended(folder: Path) -> list[dict[str, Any]]:
    return [line for line in schedule.progress(folder) if line["event"] == "ended"]


FULL = ["up a", "training a", "metrics a", "up a", "destroy a"]


def test_one_is_gone_before_the_next_is_deployed(machine: Machine, tmp_path: Path) -> None:
    plan(("a", "b")).save(tmp_path)
    assert runner.run(tmp_path) is Status.GOOD
    assert machine.calls == [*FULL, *(call.replace(" a", " b") for call in FULL)]
    first, second = ended(tmp_path)
    assert first["times"].keys() == {"up_s", "noop_s", "destroy_s"}
    assert second["runs"]["metrics"] == {"status": 0, "said": None} | {
        "took_s": second["runs"]["metrics"]["took_s"]
    }


@pytest.mark.parametrize(
    ("fails", "calls", "status", "error"),
    [
        ("up a", ["up a", "destroy a"], Status.COULD_NOT_RUN, "up a failed with status 1"),
        ("training a", FULL, Status.BAD, None),
        ("training a cannot", FULL, Status.COULD_NOT_RUN, None),
    ],
)
def test_a_stack_that_fails_is_removed_and_the_next_follows(
    machine: Machine,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    fails: str,
    calls: list[str],
    status: Status,
    error: str | None,
) -> None:
    machine.fails = {fails}
    plan(("a", "b")).save(tmp_path)
    assert runner.run(tmp_path) is status
    assert machine.calls == [*calls, *(call.replace(" a", " b") for call in FULL)]
    assert [line["error"] for line in ended(tmp_path)] == [error, None]
    said = capsys.readouterr().err
    if error:
        assert f"a         {error}; going on with the next" in said
    if "cannot" in fails:
        assert "training: could not run" in said
        assert "the last word" in said


def test_an_interrupted_comparison_removes_its_stack_and_goes_on_later(
    machine: Machine, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    folder = results / "1-compare"
    folder.mkdir(parents=True)
    plan(("a", "b", "c")).save(folder)
    machine.interrupted = {"metrics b"}
    with pytest.raises(KeyboardInterrupt):
        runner.run(folder)
    assert machine.there == set()
    assert [line["stack"] for line in ended(folder)] == ["a"]
    assert schedule.unfinished(results) == folder

    machine.interrupted, machine.calls = set(), []
    assert runner.run(folder) is Status.GOOD
    assert [call for call in machine.calls if call.startswith("destroy")] == [
        "destroy b",
        "destroy c",
    ]
    assert [line["folder"] for line in ended(folder)] == ["1-1-a", "1-2-b.2", "1-3-c"]
    assert schedule.unfinished(results) is None


def test_what_a_killed_comparison_left_is_removed_first(machine: Machine, tmp_path: Path) -> None:
    plan(("a", "b")).save(tmp_path)
    began = {"event": "began", "slot": "1-1-a", "stack": "a"}
    cut_off = '{"event": "ended", "sl'
    (tmp_path / layout.PROGRESS).write_text(json.dumps(began) + "\n" + cut_off)
    machine.there = {"a"}
    runner.run(tmp_path)
    assert machine.calls[:2] == ["destroy a", "up a"]


def test_an_interrupted_comparison_does_not_take_a_persons_stack_for_its_own(
    machine: Machine, tmp_path: Path
) -> None:
    plan(("a", "b")).save(tmp_path)
    machine.interrupted = {"metrics a"}
    with pytest.raises(KeyboardInterrupt):
        runner.run(tmp_path)
    machine.interrupted, machine.calls = set(), []
    machine.there = {"a"}  # the person has deployed it meanwhile, and goes on then
    assert runner.run(tmp_path) is Status.COULD_NOT_RUN
    assert machine.calls == [call.replace(" a", " b") for call in FULL]
    assert machine.there == {"a"}
    assert "pulumi destroy -s a" in ended(tmp_path)[0]["error"]


@pytest.mark.parametrize("scenario", [deploy.run, scale_out.run])
def test_a_scenario_that_deploys_leaves_a_stack_that_is_there(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Any
) -> None:
    monkeypatch.setattr(results, "RESULTS", tmp_path)
    machine.there = {"local"}
    with pytest.raises(ui.SetupError, match="pulumi destroy -s local"):
        scenario("local", "quick")
    assert machine.calls == []


def test_a_stack_in_the_running_test_cluster_is_left_out(
    checkout: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.there = {"local"}
    monkeypatch.setattr(cluster, "wanted", lambda stacks: True)
    monkeypatch.setattr(system, "debian_root", lambda: True)
    for runs in (True, False):  # what was in one that has ended is gone
        monkeypatch.setattr(cluster, "runs", lambda runs=runs: runs)
        assert ("it is deployed" in (runner.obstacle("local") or "")) is runs


@pytest.fixture
def checkout(tmp_path: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with stack files, each with a port of its own."""
    (tmp_path / "stacks").mkdir()
    for name in ("multi-az", "local"):
        text = f'config:\n  mlflow-bench:port: "{free_port()}"\n'
        (tmp_path / "stacks" / f"Pulumi.{name}.yaml").write_text(text)
    monkeypatch.setattr(files, "ROOT", tmp_path)
    monkeypatch.setattr(results, "RESULTS", tmp_path / "results")
    return tmp_path


def test_without_names_all_that_can_run_are_taken_the_simplest_as_baseline(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "config:\n  mlflow-bench:kubernetes:\n    context: nowhere\n"
    (checkout / "stacks" / "Pulumi.k8s.yaml").write_text(text)
    found = Plan.load(runner.new([], ["k8s", "local", "multi-az"], "quick", 1))
    assert found.baseline == "local"
    assert sorted(found.blocks[0]) == ["local", "multi-az"]
    assert found.left_out.keys() == {"k8s"}
    assert "k8s       is left out: no kubeconfig has its context nowhere" in capsys.readouterr().err


def test_a_deployed_stack_and_a_taken_port_are_left_out(checkout: Path, machine: Machine) -> None:
    assert runner.obstacle("local") is None
    machine.there = {"local"}
    assert "pulumi destroy -s local" in (runner.obstacle("local") or "")
    text = (checkout / "stacks" / "Pulumi.multi-az.yaml").read_text()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", int(text.split('"')[1])))
        holder.listen()
        assert "is taken: stop what listens there" in (runner.obstacle("multi-az") or "")
        with pytest.raises(ui.SetupError, match="needs two stacks that can run here"):
            runner.new([], ["local", "multi-az"], "quick", 1)
    assert not (checkout / "results").exists()


@pytest.mark.parametrize("profile", schedule.PROGRAMS)
def test_every_step_is_one_that_the_workloads_take(profile: str) -> None:
    for some in schedule.PROGRAMS[profile].steps:
        for step in some.of_each(list(FAULTS)):
            options = run_arguments.check(["run", "--stack", "local", *step.arguments])
            assert options["fault"] in (None, *FAULTS)
            assert options["profile"] == profile


def test_each_block_has_a_seed_of_its_own_which_is_written_down(
    machine: Machine, tmp_path: Path
) -> None:
    plan(("a", "b"), ("b", "a")).save(tmp_path)
    assert runner.run(tmp_path) is Status.GOOD
    assert [line["seed"] for line in ended(tmp_path)] == [101, 101, 102, 102]
    assert machine.seeds == ["101"] * 4 + ["102"] * 4  # training and metrics of each deployment
    drawn = schedule.seeds(program(5, duplicate=True), 1)
    assert len(set(drawn)) == 5
    assert drawn == schedule.seeds(program(5, duplicate=True), 1)
    assert drawn != schedule.seeds(program(5, duplicate=True), 2)


def test_each_fault_that_a_stack_can_have_has_a_run_of_its_own(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = {"a": "replica-kill\nstore-kill", "b": "replica-kill", "c": None}
    monkeypatch.setattr(system, "output", lambda argv, **_: able[argv[-2]])
    each = Step("fault", ("--scenario", "resilience", "--fault", schedule.EACH_FAULT))
    dataclasses.replace(plan(("a", "b", "c")), steps=(each,)).save(tmp_path)
    assert runner.run(tmp_path) is Status.COULD_NOT_RUN
    assert [call for call in machine.calls if call.startswith("fault")] == [
        "fault-replica-kill a",
        "fault-store-kill a",
        "fault-replica-kill b",
    ]
    assert "its faults are not known" in ended(tmp_path)[2]["error"]
    assert machine.there == set()


def test_the_names_of_the_faults_are_those_that_break_something(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["faults", "--names"]) == 0
    assert capsys.readouterr().out.split() == [name for name in FAULTS if name != "noop"]
