"""The order of a comparison, what it goes on after, and what it refuses before anything is made."""

import json
import os
import shutil
import socket
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from scripts import deployed, deploying
from scripts.comparison import runner, schedule
from scripts.comparison.schedule import Plan, Program, Step
from scripts.prepare import cluster, pins, plugins, state, ui
from scripts.prepare import machine as system
from scripts.scenarios import deploy, scale_out
from scripts.status import Status
from tests.ports import free_port
from workloads.__main__ import _parameters, _parser, _profile
from workloads.comparison import files
from workloads.faults.registry import FAULTS
from workloads.scenarios import SCENARIOS

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
        started="2026-01-02T03:04:05+00:00",
    )


def test_a_plan_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = plan(("a", "b", "a"), ("b", "a", "b"))
    written.save(tmp_path)
    assert Plan.load(tmp_path) == written
    assert [slot.name for slot in written.slots() if slot.duplicate] == ["1-3-a", "2-3-b"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 9}'])
def test_a_damaged_plan_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / files.PLAN).write_text(text)
    with pytest.raises(ValueError, match=r"^\S+/comparison\.json: is [^\n]+$"):
        Plan.load(tmp_path)


class Machine:
    """Stands in for the engine and the workloads; fails or is interrupted where it is told to."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.fails: set[str] = set()
        self.interrupted: set[str] = set()
        self.there: set[str] = set()

    def pulumi(self, stack: str, verb: str, *options: str) -> float:
        if verb == "up":  # one that fails leaves a part
            self.there.add(stack)
        self._call(f"{verb} {stack}")
        if verb == "destroy":
            self.there.discard(stack)
        return 1.0

    def run(self, part: str, what: str, argv: list[str], *, log: Path, **_: Any) -> float:
        log.write_text("progress\npython -m workloads: the last word\n")
        if f"{what} {part} cannot" not in self.fails:
            (log.parent / "result.json").write_text("{}")
        self._call(f"{what} {part}")
        return 1.0

    def state(self, stack: str) -> deployed.State:
        return deployed.State(resources=int(stack in self.there))

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
    monkeypatch.setattr(deploying, "pulumi", found.pulumi)
    monkeypatch.setattr(ui, "run", found.run)
    monkeypatch.setattr(deployed, "unlock", lambda stack: None)
    monkeypatch.setattr(deployed, "read_state", found.state)
    monkeypatch.setattr(deployed, "remove_labelled", lambda deployments: iter(()))
    monkeypatch.setattr(plugins, "build_for", lambda stacks: None)
    monkeypatch.setattr(cluster, "wanted", lambda stacks: False)
    monkeypatch.setattr(plugins, "build_for", lambda stacks: None)
    return found


def ended(folder: Path) -> list[dict[str, Any]]:
    return [line for line in schedule.progress(folder) if line["event"] == "ended"]


FULL = ["up a", "training a", "metrics a", "up a", "destroy a"]


def test_one_is_gone_before_the_next_is_deployed(machine: Machine, tmp_path: Path) -> None:
    plan(("a", "b")).save(tmp_path)
    assert runner.go(tmp_path) is Status.GOOD
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
    assert runner.go(tmp_path) is status
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
        runner.go(folder)
    assert machine.there == set()
    assert [line["stack"] for line in ended(folder)] == ["a"]
    assert schedule.unfinished(results) == folder

    machine.interrupted, machine.calls = set(), []
    assert runner.go(folder) is Status.GOOD
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
    (tmp_path / files.PROGRESS).write_text(json.dumps(began) + "\n" + cut_off)
    machine.there = {"a"}
    runner.go(tmp_path)
    assert machine.calls[:2] == ["destroy a", "up a"]


def test_an_interrupted_comparison_does_not_take_a_persons_stack_for_its_own(
    machine: Machine, tmp_path: Path
) -> None:
    plan(("a", "b")).save(tmp_path)
    machine.interrupted = {"metrics a"}
    with pytest.raises(KeyboardInterrupt):
        runner.go(tmp_path)
    machine.interrupted, machine.calls = set(), []
    machine.there = {"a"}  # the person has deployed it meanwhile, and goes on then
    assert runner.go(tmp_path) is Status.COULD_NOT_RUN
    assert machine.calls == [call.replace(" a", " b") for call in FULL]
    assert machine.there == {"a"}
    assert "pulumi destroy -s a" in ended(tmp_path)[0]["error"]


@pytest.mark.parametrize("scenario", [deploy.run, scale_out.run])
def test_a_scenario_that_deploys_leaves_a_stack_that_is_there(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scenario: Any
) -> None:
    monkeypatch.setattr(deploy, "RESULTS", tmp_path)
    monkeypatch.setattr(scale_out, "RESULTS", tmp_path)
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
    monkeypatch.setattr(state, "ROOT", tmp_path)
    monkeypatch.setattr(runner, "RESULTS", tmp_path / "results")
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


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "name a stack: "),
        ("local --resume", "--resume and what you need are for a comparison: add --compare"),
        ("local --users 4", "are for a comparison: add --compare"),
        ("--compare lcoal", "no stack lcoal in stacks/; there is: "),
        ("--compare --keep", "--keep: a comparison removes each stack"),
        ("--compare --resume local", "leave the names out"),
        ("--compare --remove", "--remove: only what is not deployed is compared"),
        ("local --scenario deploy --remove", "--remove: only what is not deployed is compared"),
        ("--compare --users many", "--users many: give a number of users, as 40"),
        ("--compare --artifact-size 3parsec", "--artifact-size 3parsec: give a size as 200MB"),
        ("--compare --must-survive war", "--must-survive war: there are replica, zone, "),
        ("--compare --longest-gap 0", "--longest-gap 0: give seconds, as 5"),
    ],
)
def test_mistakes_are_one_line_before_anything_else(arguments: str, said: str) -> None:
    bench = str(pins.ROOT / "scripts" / "bench")
    done = subprocess.run(
        [bench, *arguments.split()], capture_output=True, text=True, env=dict(os.environ)
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line


def test_the_launcher_needs_no_package_of_others() -> None:
    """It runs before there is a virtual environment."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin:/opt/homebrew/bin")
    assert python
    script = "import scripts.benchmark"
    subprocess.run([python, "-S", "-c", script], cwd=pins.ROOT, check=True)


@pytest.mark.parametrize("profile", schedule.PROGRAMS)
def test_every_step_is_one_that_the_workloads_take(profile: str) -> None:
    for step in schedule.PROGRAMS[profile].steps:
        options = _parser().parse_args(["run", "--stack", "local", *step.arguments])
        scenario = SCENARIOS[options.scenario]
        _profile(scenario, options)
        _parameters(scenario, options)
        assert bool(options.fault) == scenario.breaks
        assert options.fault in (None, "all", *FAULTS)
