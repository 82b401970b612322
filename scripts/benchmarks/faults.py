"""Every fault that a stack can have, one run each: the table of docs/resilience.md.

    python -m scripts.benchmarks.faults [--stack multi-az] [--faults replica-kill,zone-cut]
                                      [--rate 20] [--seed 1]

Deploys a stack with the settings of a named one, runs the scenario `resilience` with each fault,
prints a row of Markdown as each ends, then removes the stack. The files of the runs are kept in
`results/`. Needs an activated shell and a quiet machine; a run takes a minute. For a stack on
Kubernetes the test cluster runs meanwhile.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path

import docker
import yaml

from infra.outputs import Target
from tests.e2e.stack import ROOT, Stack, end, new_stack
from tests.kubernetes_cluster import running
from workloads.faults.catalogue import FAULTS
from workloads.target.probe_paths import ProbePath
from workloads.verdict.result import FaultFigures, Result

NAME = "bench-flt"
KEY = "mlflow-bench:"

TITLES = (
    "fault",
    "component",
    *(f"{path}, s" for path in ProbePath),
    "objective, s",
    "service restored after, s",
    "healed after, s",
    "calls failed",
    "retried",
    "of",
    "acknowledged",
    "lost",
    "unexpected",
    "duplicates",
    "duplicates removed",
    "verdict",
)


def settings(preset: str) -> dict[str, object]:
    """Return the values of a named stack's file, without its port."""
    known = yaml.safe_load((ROOT / "stacks" / f"Pulumi.{preset}.yaml").read_text())["config"]
    return {
        key.removeprefix(KEY): value
        for key, value in known.items()
        if key.startswith(KEY) and key != f"{KEY}port"
    }


def run(stack: Stack, preset: str, fault: str, options: argparse.Namespace) -> Result | None:
    """Run the scenario with one fault; returns its result, None where it could not run."""
    folder = ROOT / "results" / f"faults-{preset}-{fault}"
    for old in folder.glob("*"):
        old.unlink()
    command = [sys.executable, "-m", "workloads", "run", "--stack", stack.name]
    command += ["--scenario", "resilience", "--fault", fault, "--seed", str(options.seed)]
    command += ["--rate", str(options.rate), "--results", str(folder), "--reconcile"]
    environment = os.environ | stack.environment
    with stack.in_project():
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if not (folder / "result.json").exists():
        print(f"{fault}: {done.stderr.strip()}", file=sys.stderr, flush=True)
        return None
    result = Result.model_validate_json((folder / "result.json").read_text())
    for reason in result.verdict.reasons:
        print(f"{fault}: {result.verdict.judgement}: {reason}", file=sys.stderr, flush=True)
    return result


def row(fault: FaultFigures, result: Result) -> list[str]:
    """Return the cells of a run."""

    def seconds(value: float | None, digits: int) -> str:
        return "not seen" if value is None else f"{value:.{digits}f}"

    kinds = result.durability.kinds.values()
    return [
        fault.fault,
        fault.component or "",
        *(str(fault.outages.get(path, "")) for path in ProbePath),
        "" if fault.outage_limit_s is None else f"≤ {fault.outage_limit_s:g}",
        seconds(fault.recovered_s, 0),
        seconds(fault.healed_s, 1),
        str(fault.failed),
        str(fault.succeeded_after_retry),
        str(fault.calls),
        *(
            str(sum(getattr(sets, name) for sets in kinds))
            for name in ("acknowledged", "lost", "unexpected", "duplicates")
        ),
        str(len(result.durability.reconciled)),
        result.verdict.judgement.value,
    ]


def line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Deploy, break, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stack", default="multi-az", help="named stack whose settings are taken")
    parser.add_argument("--faults", help="names with commas between (default: all it can have)")
    parser.add_argument("--rate", type=float, default=20, help="planned calls/s")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    client = docker.from_env()
    acknowledged = 0
    values = settings(options.stack)
    cluster = running() if values.get("platform") == "kubernetes" else nullcontext()
    with cluster, tempfile.TemporaryDirectory() as folder:
        stack = new_stack(NAME, Path(folder))
        try:
            stack.configure(**values)
            stack.up()
            target = Target.model_validate(stack.outputs()["target"])
            able = [name for name, fault in FAULTS.items() if fault.unavailable(target) is None]
            print(line(TITLES), flush=True)
            print(line(["---"] * len(TITLES)), flush=True)
            for name in options.faults.split(",") if options.faults else able:
                result = run(stack, options.stack, name, options)
                if result is None or result.resilience is None:
                    continue
                for fault in result.resilience.faults:
                    cells = row(fault, result)
                    print(line(cells), flush=True)
                acknowledged += sum(k.acknowledged for k in result.durability.kinds.values())
        finally:
            end(stack, client)
    print(f"\n{acknowledged} acknowledged records in all on {options.stack}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
