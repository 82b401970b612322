"""`scale-out`: the same load on other numbers of replicas and workers of one stack.

Each variation is deployed over the one before, from a stack file that differs in these two values
only; the stack's own file is not touched. Cost is CPU of all components for a call, from their
control groups, as every run of a stack has it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.commands.bench import results, test_cluster, workload
from scripts.shared import ui
from scripts.shared.project import ROOT
from scripts.shared.status import Status, worst
from scripts.shared.ui import SetupError
from scripts.stack import copies, deployment, files, updates

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
    one_replica = config.get("artifacts", "volume") == "volume"
    most = {"quick": 2, "full": 4}[profile]
    numbers = [1, 2, 4][: most.bit_length()]
    candidates = [Variation(r, w) for r in numbers for w in numbers if r * w <= most]
    return (
        [variation for variation in candidates if variation.replicas == 1]
        if one_replica
        else candidates
    )


def run(stack: str, profile: str) -> Status:
    """Deploy and load each variation, then remove the stack; the worst verdict is returned.

    Raises `SetupError` if a deployment fails.
    """
    folder = results.new_run(f"{stack}-scale-out")
    rows: list[dict[str, Any]] = []
    statuses = []
    with test_cluster.running_for([stack]):
        deployment.require_nothing(stack)
        with copies.copied(stack) as copy:
            try:
                for variation in variations(files.config(stack), profile):
                    replicas, workers = variation.replicas, variation.workers
                    ui.say(stack, f"{replicas} replica(s) in a zone, {workers} worker(s) each")
                    copies.configure(copy, {"replicas": replicas, "workers": workers})
                    updates.up(stack, config_file=str(copy))
                    statuses.append(_load(stack, profile, folder / variation.name))
                    rows.append(figures(folder / variation.name, variation))
            finally:
                with ui.second_interrupt_only(stack):
                    removed, _ = deployment.remove(stack)
                (folder / "scale-out.json").write_text(json.dumps(rows, indent=2) + "\n")
    for line in table(rows):
        ui.say(stack, line)
    status = worst(statuses) if removed else Status.COULD_NOT_RUN
    ui.say(stack, f"verdict {status.words} (exit status {status}): {folder.relative_to(ROOT)}")
    return status


def _load(stack: str, profile: str, folder: Path) -> Status:
    folder.mkdir()
    arguments = ["--scenario", "metrics", "--profile", profile, *SETTINGS[profile]]
    status = workload.run(stack, "metrics", arguments, folder)
    if status is Status.COULD_NOT_RUN:
        raise SetupError(f"metrics: {ui.last_line(folder / workload.LOG)}")
    return status


def figures(folder: Path, variation: Variation) -> dict[str, Any]:
    """What a variation's run found, for the table; None where it was not seen."""
    result = json.loads((folder / "result.json").read_text())
    [stage] = result["stages"]
    observed = stage["observed"] or {"components": {}, "cpu_ms_per_call": None}
    memory = [
        c["memory_bytes"] for n, c in observed["components"].items() if n.startswith("mlflow")
    ]
    return {
        "replicas": variation.replicas,
        "workers": variation.workers,
        "rate": stage["calls"]["rate"],
        "rate_margin": stage["calls"]["rate_margin"],
        "p95_ms": stage["calls"]["p95_ms"],
        "cpu_ms_per_call": observed["cpu_ms_per_call"],
        "memory_bytes": sum(memory) or None,
        "verdict": result["verdict"]["judgement"],
    }


def table(rows: list[dict[str, Any]]) -> list[str]:
    """A line for each variation; memory is that of all replicas together."""
    lines = [HEADER]
    for row in rows:
        margin = "" if row["rate_margin"] is None else f" ± {row['rate_margin']:.1f}"
        rate = f"{row['rate']:.1f}{margin}"
        p95 = UNKNOWN if row["p95_ms"] is None else f"{row['p95_ms']:.0f}"
        cost = UNKNOWN if row["cpu_ms_per_call"] is None else f"{row['cpu_ms_per_call']:.1f}"
        memory = UNKNOWN if row["memory_bytes"] is None else f"{row['memory_bytes'] / 2**20:.0f}"
        lines.append(
            f"{row['replicas']:>8} {row['workers']:>8} {rate:>14} {p95:>8} {cost:>12} "
            f"{memory:>13}  {row['verdict']}"
        )
    return lines
