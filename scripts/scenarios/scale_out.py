"""`scale-out`: the same load on other numbers of replicas and workers of one stack.

Each variation is deployed over the one before, from a stack file that differs in these two values
only; the stack's own file is not touched. Cost is CPU of all components for a call, from their
control groups, as every run of a stack has it.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scripts import deploying, workload
from scripts.prepare import stack_file, state, ui
from scripts.prepare.pins import LOGS, ROOT
from scripts.prepare.ui import SetupError
from scripts.status import Status, worst

RESULTS = ROOT / "results"
SETTINGS = {"quick": ("--users", "16"), "full": ("--users", "32", "--duration", "60")}

UNKNOWN = "-"
HEADER = f"{'replicas':>8} {'workers':>8} {'calls/s':>14} {'p95 ms':>8} {'CPU-ms/call':>12} "
HEADER += f"{'replicas MiB':>13}  verdict"


@dataclass(frozen=True)
class Variation:
    """Replicas in each zone, and worker processes of each."""

    replicas: int
    workers: int

    @property
    def name(self) -> str:
        """Name of its folder, as `2x1`."""
        return f"{self.replicas}x{self.workers}"


def variations(config: Mapping[str, Any], profile: str) -> list[Variation]:
    """Which to try; artifacts on a volume stay with one replica, as no other would have them."""
    alone = config.get("artifacts", "volume") == "volume"
    most = {"quick": 2, "full": 4}[profile]
    numbers = [1, 2, 4][: most.bit_length()]
    every = [Variation(r, w) for r in numbers for w in numbers if r * w <= most]
    return [one for one in every if one.replicas == 1] if alone else every


def run(stack: str, profile: str) -> Status:
    """Deploy and load each variation, then remove the stack; the worst verdict is returned.

    Raises `SetupError` if a deployment fails.
    """
    preset = state.config_of(stack)
    folder = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{stack}-scale-out"
    folder.mkdir(parents=True)
    found: list[dict[str, Any]] = []
    statuses = []
    with tempfile.TemporaryDirectory() as temporary, deploying.test_cluster([stack], keep=False):
        deploying.require_nothing(stack)
        changed = Path(temporary) / preset.name
        shutil.copyfile(preset, changed)
        try:
            for one in variations(stack_file.config(stack), profile):
                ui.say(stack, f"{one.replicas} replica(s) in a zone, {one.workers} worker(s) each")
                _configure(stack, changed, one)
                deploying.up(stack, "--config-file", str(changed))
                statuses.append(_load(stack, profile, folder / one.name))
                found.append(figures(folder / one.name, one))
        finally:
            with ui.second_interrupt_only(stack):
                removed, _ = deploying.remove(stack)
            (folder / "scale-out.json").write_text(json.dumps(found, indent=2) + "\n")
    for line in table(found):
        ui.say(stack, line)
    status = worst(statuses) if removed else Status.COULD_NOT_RUN
    ui.say(stack, f"verdict {status.words} (exit status {status}): {folder.relative_to(ROOT)}")
    return status


def _configure(stack: str, changed: Path, one: Variation) -> None:
    values = {"replicas": one.replicas, "workers": one.workers}
    argv = ["pulumi", "config", "set-all", "--stack", stack, "--config-file", str(changed)]
    for key, value in values.items():
        argv += ["--plaintext", f"mlflow-bench:{key}={value}"]
    ui.run(stack, "writing the variation", argv, log=LOGS / f"config-{stack}.log", cwd=ROOT)


def _load(stack: str, profile: str, folder: Path) -> Status:
    folder.mkdir()
    arguments = ["--scenario", "metrics", *SETTINGS[profile]]
    status = workload.run(stack, "metrics", arguments, folder)
    if status is Status.COULD_NOT_RUN:
        raise SetupError(f"metrics: {ui.last_line(folder / workload.LOG)}")
    return status


def figures(folder: Path, one: Variation) -> dict[str, Any]:
    """What a variation's run found, for the table; None where it was not seen."""
    result = json.loads((folder / "result.json").read_text())
    [stage] = result["stages"]
    seen = stage["observed"] or {"components": {}, "cpu_ms_per_call": None}
    memory = [c["memory_bytes"] for n, c in seen["components"].items() if n.startswith("mlflow")]
    return {
        "replicas": one.replicas,
        "workers": one.workers,
        "rate": stage["calls"]["rate"],
        "rate_margin": stage["calls"]["rate_margin"],
        "p95_ms": stage["calls"]["p95_ms"],
        "cpu_ms_per_call": seen["cpu_ms_per_call"],
        "memory_bytes": sum(memory) or None,
        "verdict": result["verdict"]["judgement"],
    }


def table(found: list[dict[str, Any]]) -> list[str]:
    """A line for each variation; memory is that of all replicas together."""
    lines = [HEADER]
    for one in found:
        margin = "" if one["rate_margin"] is None else f" ± {one['rate_margin']:.1f}"
        rate = f"{one['rate']:.1f}{margin}"
        p95 = UNKNOWN if one["p95_ms"] is None else f"{one['p95_ms']:.0f}"
        cost = UNKNOWN if one["cpu_ms_per_call"] is None else f"{one['cpu_ms_per_call']:.1f}"
        memory = UNKNOWN if one["memory_bytes"] is None else f"{one['memory_bytes'] / 2**20:.0f}"
        lines.append(
            f"{one['replicas']:>8} {one['workers']:>8} {rate:>14} {p95:>8} {cost:>12} "
            f"{memory:>13}  {one['verdict']}"
        )
    return lines
