"""Saved results as deployments: what was deployed when, how long that took, what was run on it."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from infra.outputs import Target
from workloads import CannotRunError
from workloads.comparison.layout import PLAN, PROGRESS
from workloads.history.history import HISTORY
from workloads.verdict.judge import RESULT
from workloads.verdict.result import Result


class _Plan(BaseModel):
    """What `scripts/bench --compare` decided before it started."""

    model_config = ConfigDict(extra="ignore")

    profile: str
    baseline: str
    blocks: list[list[str]]
    left_out: dict[str, str]
    started: str


class _Run(BaseModel):
    model_config = ConfigDict(extra="ignore")

    said: str | None


class _Ended(BaseModel):
    """A deployment that was taken to its end, as the launcher wrote it down."""

    model_config = ConfigDict(extra="ignore")

    block: int
    stack: str
    duplicate: bool
    folder: str
    times: dict[str, float]
    runs: dict[str, _Run]
    error: str | None


@dataclass(frozen=True)
class Deployment:
    """One stack from `up` to `destroy`.

    Attributes:
        block: which time around it was; figures of one block are paired.
        duplicate: whether it is the second of its stack in its block (A/A).
        times: seconds of `up_s`, `noop_s` and `destroy_s`, of those that are known.
        runs: results by the name of the step.
        failed: what was said of the steps that could not run, by name.
        folders: folder of each result.
        error: why it ended early; None if it did not.
    """

    stack: str
    block: int = 0
    duplicate: bool = False
    times: dict[str, float] = field(default_factory=dict)
    runs: dict[str, Result] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    folders: dict[str, Path] = field(default_factory=dict)
    error: str | None = None

    @property
    def target(self) -> Target | None:
        """What was deployed; None if no run says it."""
        return next((run.plan.target for run in self.runs.values() if run.plan.target), None)

    @property
    def machine(self) -> str:
        """What it was measured on; empty if no run says it."""
        return next(filter(None, map(machine, self.runs.values())), "")


@dataclass(frozen=True)
class Saved:
    """Everything that a comparison is made from.

    Attributes:
        baseline: the stack that the others are set against.
        left_out: stacks that could not be deployed here, with the reason.
        missing: deployments that were planned and have not ended.
    """

    started: str
    profile: str
    baseline: str
    deployments: list[Deployment]
    left_out: dict[str, str] = field(default_factory=dict)
    missing: int = 0

    @property
    def stacks(self) -> list[str]:
        """Stacks in the order of their first deployment, the baseline first."""
        names = dict.fromkeys(deployment.stack for deployment in self.deployments)
        return sorted(names, key=lambda name: name != self.baseline)

    @property
    def machine(self) -> str:
        """What the baseline was measured on; empty if that is not known."""
        return next(filter(None, (deployment.machine for deployment in self.of(self.baseline))), "")

    @property
    def machines(self) -> dict[str, list[str]]:
        """Every machine that results are from, with the stacks of which it has any."""
        stacks_by_machine: dict[str, list[str]] = {}
        for deployment in self.deployments:
            for run in deployment.runs.values():
                stacks = stacks_by_machine.setdefault(machine(run), [])
                if deployment.stack not in stacks:
                    stacks.append(deployment.stack)
        return stacks_by_machine

    def blocks(self, stack: str) -> int:
        """Number of blocks that a stack was deployed in."""
        return len({deployment.block for deployment in self.of(stack)})

    def of(self, stack: str) -> list[Deployment]:
        """Deployments of a stack, duplicates too."""
        return [deployment for deployment in self.deployments if deployment.stack == stack]


def machine(result: Result) -> str:
    """Return what a run was made on, as `2 cores, … CPU, 7.8 GiB`; empty if it does not say."""
    known = result.plan.environment
    return ", ".join(known[what] for what in ("CPU", "memory") if what in known)


def load(folders: list[Path]) -> Saved:
    """Read one comparison's folder, or those of several runs.

    Raises `CannotRunError` if they are neither, or damaged.
    """
    if len(folders) == 1 and (folders[0] / PLAN).exists():
        return _comparison(folders[0])
    for folder in folders:
        if (folder / PLAN).exists():
            raise CannotRunError(f"{folder}: is a whole comparison; give it alone")
        if not (folder / RESULT).exists():
            what = f"has no {RESULT}; make it with: recheck --write" if _is_run(folder) else ""
            raise CannotRunError(f"{folder}: {what or 'holds neither a comparison nor a run'}")
    return _runs(folders)


def _comparison(folder: Path) -> Saved:
    try:
        plan = _Plan.model_validate_json((folder / PLAN).read_text())
    except (OSError, ValidationError) as error:
        raise CannotRunError(f"{folder / PLAN}: is damaged: {_first(error)}") from None
    deployments = [_deployment(folder, ended) for ended in _ended(folder / PROGRESS)]
    if not deployments:
        raise CannotRunError(f"{folder}: none of its deployments has ended yet")
    return Saved(
        started=plan.started,
        profile=plan.profile,
        baseline=plan.baseline,
        deployments=deployments,
        left_out=plan.left_out,
        missing=sum(map(len, plan.blocks)) - len(deployments),
    )


def _ended(path: Path) -> Iterator[_Ended]:
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.endswith("\n"):
            continue  # cut off when the machine went down
        try:
            known: dict[str, Any] = json.loads(line)
            if known["event"] == "ended":
                yield _Ended.model_validate(known)
        except (ValueError, KeyError, TypeError) as error:
            raise CannotRunError(f"{path}: line {number} is damaged: {_first(error)}") from None


def _deployment(folder: Path, ended: _Ended) -> Deployment:
    runs, failed = {}, {}
    for name, run in ended.runs.items():
        path = folder / ended.folder / name
        if (path / RESULT).exists():
            runs[name] = _result(path)
        else:
            failed[name] = run.said or "it left no result"
    return Deployment(
        stack=ended.stack,
        block=ended.block,
        duplicate=ended.duplicate,
        times=ended.times,
        runs=runs,
        failed=failed,
        folders={name: folder / ended.folder / name for name in runs},
        error=ended.error,
    )


def _runs(folders: Iterable[Path]) -> Saved:
    """Take each run as a deployment of its own; those of one stack and scenario are blocks."""
    seen: Counter[tuple[str, str]] = Counter()
    deployments: dict[tuple[str, int], Deployment] = {}
    for folder in folders:
        result = _result(folder)
        stack, step = result.plan.subject, _step(result)
        block = seen[stack, step]
        seen[stack, step] += 1
        deployment = deployments.setdefault((stack, block), Deployment(stack, block))
        deployment.times.update(result.deploy)
        deployment.runs[step] = result
        deployment.folders[step] = folder
    in_order = list(deployments.values())
    started = min(run.plan.started for deployment in in_order for run in deployment.runs.values())
    profiles = {
        run.plan.profile_name for deployment in in_order for run in deployment.runs.values()
    }
    return Saved(
        started=started,
        profile=", ".join(sorted(profiles)),
        baseline=in_order[0].stack,
        deployments=in_order,
    )


def _step(result: Result) -> str:
    """Runs with other faults are other steps, not another block of one."""
    return " ".join((result.plan.scenario, *result.plan.faults))


def _result(folder: Path) -> Result:
    try:
        return Result.model_validate_json((folder / RESULT).read_text())
    except (OSError, ValidationError) as error:
        raise CannotRunError(
            f"{folder / RESULT}: is not of this version ({_first(error)}); make it anew with: "
            f"python -m workloads recheck --write {folder}"
        ) from None


def _is_run(folder: Path) -> bool:
    return (folder / HISTORY).exists()


def _first(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).splitlines()[0]
