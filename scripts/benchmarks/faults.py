"""Every fault that a stack can have, one run each: the tables of docs/resilience.md and traces.md.

    python -m scripts.benchmarks.faults [--stack multi-az] [--faults replica-kill,zone-cut]
                                      [--rate 20] [--seed 1] [--traces 0.5] [--write PAGE]
                                      [--client-rule 3.18] [--keep]

Deploys a stack with the settings of a named one, runs the scenario `resilience` with each fault,
prints a row of Markdown as each ends, then removes the stack. With `--traces` that share of the
load is traces, and the table tells what became of them. `--write` puts the table into a page,
between a comment that names the stack, as `<!-- faults multi-az -->`, and `<!-- end -->`. The files
of the runs are kept in `results/`. Needs an activated shell and a quiet machine; a run takes a
minute. For a stack on Kubernetes the test cluster runs meanwhile.
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
from scripts.benchmarks.page import replaced
from tests.e2e.stack import ROOT, Stack, end, new_stack
from tests.kubernetes_cluster import running
from workloads.faults.catalogue import FAULTS
from workloads.history.history import Kind
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
    "orphans",
    "duplicates removed",
    "verdict",
)

OF_TRACES = (
    "fault",
    "component",
    "healed after, s",
    "service restored after, s",
    "all traces arrived again after, s",
    "exports",
    "failed",
    "retried",
    "most waiting",
    "spans dropped by clients",
    "spans refused",
    "spans acknowledged",
    "spans lost",
    "records acknowledged",
    "records lost",
    "verdict",
)
"""Titles where a share of the load is traces."""


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
    what = "faults-traces" if options.traces else "faults"
    what += f"-{options.client_rule}" if options.client_rule else ""
    folder = ROOT / "results" / f"{what}-{preset}-{fault}"
    for old in folder.glob("*"):
        old.unlink()
    command = [sys.executable, "-m", "workloads", "run", "--stack", stack.name]
    command += ["--scenario", "resilience", "--fault", fault, "--seed", str(options.seed)]
    command += ["--rate", str(options.rate), "--results", str(folder)]
    command += [] if options.keep else ["--reconcile"]
    command += ["--client-rule", options.client_rule] if options.client_rule else []
    command += ["--set", f"traces={options.traces:g}"] if options.traces else []
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
            for name in ("acknowledged", "lost", "unexpected", "duplicates", "orphans")
        ),
        str(len(result.durability.reconciled)),
        result.verdict.judgement.value,
    ]


def seconds(value: float | None, digits: int) -> str:
    return "not seen" if value is None else f"{value:.{digits}f}"


def row_of_traces(fault: FaultFigures, result: Result) -> list[str]:
    """Return the cells of a run with traces."""
    traces, missing, kinds = fault.traces, result.missing_spans, result.durability.kinds
    assert traces
    assert missing
    spans = kinds[Kind.SPAN]
    return [
        fault.fault,
        fault.component or "",
        seconds(fault.healed_s, 1),
        seconds(fault.recovered_s, 0),
        seconds(traces.recovered_s, 0),
        str(traces.exports),
        str(traces.failed),
        str(traces.succeeded_after_retry),
        str(traces.most_unsent),
        str(traces.dropped_spans),
        str(missing.refused_spans),
        str(spans.acknowledged),
        str(spans.lost),
        str(sum(sets.acknowledged for sets in kinds.values())),
        str(sum(sets.lost for sets in kinds.values())),
        result.verdict.judgement.value,
    ]


def begin_of(stack: str) -> str:
    """Return the comment before the table of a stack."""
    return f"<!-- faults {stack} -->"


def written(page: str, stack: str, table: list[str]) -> str:
    """Return a page with this table of a stack in place of what was there.

    Raises `ValueError` if the page has no place for it.
    """
    return replaced(page, begin_of(stack), table)


def line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> int:
    """Deploy, break, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--stack", default="multi-az", help="named stack whose settings are taken")
    parser.add_argument("--faults", help="names with commas between (default: all it can have)")
    parser.add_argument("--rate", type=float, default=20, help="planned calls/s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--traces", type=float, default=0, help="share of the load that is traces")
    parser.add_argument("--client-rule", help="as `workloads run` has it")
    parser.add_argument("--keep", action="store_true", help="leave duplicates where they are")
    parser.add_argument("--write", type=Path, metavar="PAGE", help="put the table into this page")
    options = parser.parse_args()
    if options.write:
        try:
            written(options.write.read_text(), options.stack, [])
        except (OSError, ValueError) as error:
            parser.error(f"--write {options.write}: {error}")
    titles, cells_of = (OF_TRACES, row_of_traces) if options.traces else (TITLES, row)
    table = [line(titles), line(["---"] * len(titles))]
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
            print("\n".join(table), flush=True)
            for name in options.faults.split(",") if options.faults else able:
                result = run(stack, options.stack, name, options)
                if result is None or result.resilience is None:
                    continue
                for fault in result.resilience.faults:
                    table.append(line(cells_of(fault, result)))
                    print(table[-1], flush=True)
                acknowledged += sum(k.acknowledged for k in result.durability.kinds.values())
        finally:
            end(stack, client)
    if options.write:
        options.write.write_text(written(options.write.read_text(), options.stack, table))
    print(f"\n{acknowledged} acknowledged records in all on {options.stack}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
