"""What a comparison does and in which order; decided before it starts, and kept with it."""

import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from workloads.comparison.layout import PLAN, PROGRESS

SCHEMA_VERSION = 2

EACH_FAULT = "each"
"""Stands for the name of a fault in a step's arguments: a run for each that the stack can have."""


@dataclass(frozen=True)
class Step:
    """A workload that every deployment gets: its folder's name, and arguments for `run`."""

    name: str
    arguments: tuple[str, ...]

    def of_each(self, faults: Sequence[str]) -> Iterator["Step"]:
        """Yield the steps that it stands for: itself, or one for each of these faults."""
        if EACH_FAULT not in self.arguments:
            yield self
            return
        for fault in faults:
            arguments = (fault if word == EACH_FAULT else word for word in self.arguments)
            yield Step(f"{self.name}-{fault}", tuple(arguments))


@dataclass(frozen=True)
class Program:
    """What a profile does to each stack, and how often.

    Attributes:
        blocks: how often every stack is deployed.
        duplicate: whether each block deploys one stack a second time (A/A), which shows how far
            two deployments of the same differ on this machine.
        steps: the workloads, in their order.
    """

    blocks: int
    duplicate: bool
    steps: tuple[Step, ...]


def _step(name: str, scenario: str, *arguments: str) -> Step:
    return Step(name, ("--scenario", scenario, *arguments))


PROGRAMS = {
    "quick": Program(
        blocks=1,
        duplicate=False,
        steps=(
            _step("training", "training", "--profile", "quick", "--duration", "5"),
            _step("metrics", "metrics", "--profile", "quick", "--duration", "5"),
            _step(
                *("fault", "resilience", "--profile", "quick"),
                *("--fault", "replica-kill", "--duration", "5"),
            ),
        ),
    ),
    "full": Program(
        blocks=5,
        duplicate=True,
        steps=(
            _step("training", "training", "--profile", "full"),
            _step("metrics", "metrics", "--profile", "full"),
            _step("capacity", "capacity", "--profile", "full"),
            _step("artifacts", "artifacts", "--profile", "full"),
            _step("traces", "traces", "--profile", "full"),
            _step("otlp", "otlp", "--profile", "full"),
            # A run for each, as of several in one run nobody knows which one lost something. All
            # stacks get one rate, and times that let some fifteen runs end within half an hour.
            _step(
                *("fault", "resilience", "--profile", "full", "--fault", EACH_FAULT),
                *("--rate", "20", "--duration", "20"),
                *("--set", "fault_s=10", "--set", "recovery_s=20", "--set", "patience_s=60"),
            ),
        ),
    ),
}


@dataclass(frozen=True)
class Slot:
    """One deployment: where in the order it comes, and of what."""

    block: int
    position: int
    stack: str
    duplicate: bool

    @property
    def name(self) -> str:
        """Name of its folder, as `1-2-multi-az`, counted from 1."""
        return f"{self.block + 1}-{self.position + 1}-{self.stack}"


@dataclass(frozen=True)
class Plan:
    """A comparison before it starts.

    Attributes:
        blocks: the stacks of each block in their order; the second of the same name is the
            A/A duplicate.
        baseline: the stack that the others are set against.
        left_out: stacks that cannot run here, with the reason.
        steps: the workloads of every deployment.
        seed: of the order, and of `seeds`.
        seeds: of the workloads, by block: its deployments get the same load, another block's
            get another.
    """

    profile: str
    baseline: str
    blocks: tuple[tuple[str, ...], ...]
    left_out: dict[str, str]
    steps: tuple[Step, ...]
    seed: int
    seeds: tuple[int, ...]
    started: str
    schema_version: int = field(default=SCHEMA_VERSION)

    def slots(self) -> Iterator[Slot]:
        """Yield every deployment in its order."""
        for block, stacks in enumerate(self.blocks):
            for position, stack in enumerate(stacks):
                yield Slot(block, position, stack, stack in stacks[:position])

    def save(self, folder: Path) -> None:
        """Write it down in the comparison's folder."""
        (folder / PLAN).write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Plan":
        """Read it back; raises `ValueError` for another version's or a damaged one."""
        try:
            fields: dict[str, Any] = json.loads((folder / PLAN).read_text())
            if fields["schema_version"] != SCHEMA_VERSION:
                raise ValueError(f"{folder / PLAN}: is of another version of mlflow-bench")
            fields["blocks"] = tuple(map(tuple, fields["blocks"]))
            fields["seeds"] = tuple(fields["seeds"])
            fields["steps"] = tuple(
                Step(step["name"], tuple(step["arguments"])) for step in fields["steps"]
            )
            return cls(**fields)
        except (KeyError, TypeError, OSError, json.JSONDecodeError) as error:
            raise ValueError(f"{folder / PLAN}: is not readable: {error}") from None


def order(stacks: Sequence[str], program: Program, seed: int) -> tuple[tuple[str, ...], ...]:
    """Return the blocks: each has every stack in random order, and the A/A duplicate if any.

    Which stack is deployed twice changes from block to block, so that each has its turn.
    """
    chance = random.Random(seed)  # noqa: S311 - an order, not a secret
    turns = chance.sample(list(stacks), len(stacks))
    blocks = []
    for number in range(program.blocks):
        block = list(stacks)
        if program.duplicate:
            block.append(turns[number % len(turns)])
        chance.shuffle(block)
        blocks.append(tuple(block))
    return tuple(blocks)


def seeds(program: Program, seed: int) -> tuple[int, ...]:
    """Return a seed for each block, no two alike."""
    return tuple(random.Random(seed).sample(range(1, 10**6), program.blocks))  # noqa: S311


def progress(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of what was done so far; a last one that was cut off is none."""
    path = folder / PROGRESS
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def drop_cut_off(folder: Path) -> None:
    """Take away the line that was being written when the machine went down, if one was."""
    path = folder / PROGRESS
    text = path.read_text() if path.exists() else ""
    if text and not text.endswith("\n"):
        path.write_text(text[: text.rfind("\n") + 1])


def remaining(plan: Plan, done: Sequence[dict[str, Any]]) -> list[Slot]:
    """Return the deployments that have not ended."""
    ended = {line["slot"] for line in done if line["event"] == "ended"}
    return [slot for slot in plan.slots() if slot.name not in ended]


def unfinished(results: Path) -> Path | None:
    """Return the newest comparison below `results` that has not ended, if there is one."""
    for path in sorted(results.glob(f"*/{PLAN}"), reverse=True):
        try:
            plan = Plan.load(path.parent)
        except ValueError:
            continue
        if remaining(plan, progress(path.parent)):
            return path.parent
    return None
