"""The guided explorations: runs the commands of their pages, and puts what was seen into them.

    python -m scripts.benchmarks.explore multi-az-resilience    # run, save, write the page
    python -m scripts.benchmarks.explore --write                # write all pages from what is saved

The first `sh` block of a page is run line by line, as it is printed; what each line took and what
each workload found is kept in docs/explore/results, and the part of the page between its two
markers is made from that file alone. Not collected by pytest: it deploys.

A page that was never run is a draft beside this program, in `explorations`; its first run makes it
one of docs/explore, whose README is to name it then.
"""

import argparse
import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from workloads.verdict.result import OperationFigures, Result

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "explore"
DRAFTS = Path(__file__).parent / "explorations"
BEGIN, END = "<!-- figures -->", "<!-- end of figures -->"
RUN = "python -m workloads run "
NOT_RUN = "\nNot run yet: there are no figures.\n"
VERDICTS = (0, 1, 3)
"""Statuses of a run that was judged; any other ends the exploration."""

Step = dict[str, Any]
"""A command, the seconds it took, and what a workload found (None: it was none)."""


def names() -> list[str]:
    """Names of all pages, drafts too."""
    return sorted(path.stem for folder in (PAGES, DRAFTS) for path in folder.glob("*-*.md"))


def text_of(page: str) -> str:
    """A page, or its draft."""
    found = PAGES / f"{page}.md"
    return (found if found.exists() else DRAFTS / found.name).read_text()


def commands(page: str) -> list[str]:
    """The lines of a page's first `sh` block, without the one that sets the shell up."""
    text = text_of(page)
    block = re.search(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert block, f"{page} has no sh block"
    lines = block[1].replace("\\\n", " ").splitlines()
    return [" ".join(line.split()) for line in lines if line.strip() != ". scripts/activate"]


def explore(page: str) -> list[Step]:
    """Run a page's commands; those after the last run, which clear up, always."""
    lines = commands(page)
    last = max(number for number, line in enumerate(lines) if line.startswith(RUN))
    steps = []
    try:
        for line in lines[: last + 1]:
            steps.append(_run(line))
    finally:
        for line in lines[last + 1 :]:
            steps.append(_run(line))
    return steps


def _run(line: str) -> Step:
    print(f"$ {line}", flush=True)
    began, busy = time.monotonic(), os.getloadavg()[0]
    result = None
    if line.startswith(RUN):
        with tempfile.TemporaryDirectory() as folder:
            argv = [sys.executable, *shlex.split(line)[1:], "--results", f"{folder}/run"]
            done = subprocess.run(argv, cwd=ROOT, stdin=subprocess.DEVNULL)
            assert done.returncode in VERDICTS, f"status {done.returncode}"
            text = (Path(folder) / "run" / "result.json").read_text()
            result = reduced(Result.model_validate_json(text)) | {"load": round(busy, 1)}
    else:
        subprocess.run(shlex.split(line), cwd=ROOT, stdin=subprocess.DEVNULL, check=True)
    return {"command": line, "seconds": round(time.monotonic() - began, 1), "run": result}


def reduced(result: Result) -> dict[str, Any]:
    """What the page shows of a result."""
    kinds = result.durability.kinds.values()
    return {
        "date": result.plan.started[:10],
        "machine": result.plan.environment["CPU"],
        "verdict": result.verdict.judgement.value,
        "reasons": result.verdict.reasons,
        "judged": result.judged_stage,
        "stages": [
            _figures(stage.calls)
            | {"name": stage.stage.name, "valid": stage.validity}
            | {"traces": stage.traces.model_dump() if stage.traces else None}
            for stage in result.stages
        ],
        "operations": [
            _figures(row) for row in result.operations if row.type == "step" or row.size_bytes
        ],
        "faults": [
            {
                "fault": fault.fault,
                "outage_s": fault.outage_s,
                "recovered_s": fault.recovered_s,
                "calls": fault.calls,
                "failed": fault.failed,
                "succeeded_after_retry": fault.succeeded_after_retry,
                "fault_error": fault.fault_error,
            }
            for fault in (result.resilience.faults if result.resilience else [])
        ],
        "present": sum(kind.present for kind in kinds),
        "lost": sum(kind.lost for kind in kinds),
        "duplicates": sum(kind.duplicates for kind in kinds),
    }


def _figures(row: OperationFigures) -> dict[str, Any]:
    kept = ("name", "count", "errors", "rate", "p50_ms", "p95_ms", "size_bytes", "mib_per_s")
    return {name: getattr(row, name) for name in kept}


def figures(steps: list[Step]) -> str:
    """Everything between a page's markers."""
    return "\n".join(
        ["", *_durations(steps), *(line for step in steps for line in _findings(step)), ""]
    )


def _durations(steps: list[Step]) -> Iterator[str]:
    yield "| command | took |\n|---|---|"
    for step in steps:
        yield f"| `{step['command']}` | {step['seconds']:.0f} s |"


def _findings(step: Step) -> Iterator[str]:
    run = step["run"]
    if run is None:
        return
    busy = f", load average {run['load']:.1f} when it began" if "load" in run else ""
    when = f"{run['date']}, {run['machine']}{busy}"
    yield f"\n**`{step['command']}`** ({when}): verdict **{run['verdict']}**\n"
    for reason in run["reasons"]:
        yield f"- {reason}"
    yield (
        f"- Read back: {run['present']} things, {run['lost']} lost, "
        f"{run['duplicates']} duplicates.\n"
    )
    if run["faults"]:
        yield from _faults(run["faults"])
        return
    if any(stage.get("traces") for stage in run["stages"]):
        yield from _traces(run["stages"])
        return
    if len(run["stages"]) > 1:
        yield from _stages(run["stages"])
    if run["operations"]:
        yield from _operations(run["operations"])
    elif len(run["stages"]) == 1:
        yield from _stages(run["stages"])


def _stages(stages: list[dict[str, Any]]) -> Iterator[str]:
    yield "| stage | calls/s | p50 ms | p95 ms | failed | valid |\n|---|---|---|---|---|---|"
    for stage in stages:
        p50, p95 = _ms(stage["p50_ms"]), _ms(stage["p95_ms"])
        yield (
            f"| {stage['name']} | {stage['rate']:.1f} | {p50} | {p95} "
            f"| {stage['errors']} of {stage['count']} | {stage['valid']} |"
        )
    if len(stages) > 1:
        labels = [stage["name"].removesuffix("s").removesuffix(" user") for stage in stages]
        yield from _chart("calls per second", labels, [stage["rate"] for stage in stages])


def _traces(stages: list[dict[str, Any]]) -> Iterator[str]:
    yield (
        "| stage | traces/s | spans/s | dropped spans | calls, p95 ms | metadata, p95 ms "
        "| CPU ms a span | valid |\n|---|---|---|---|---|---|---|---|"
    )
    for stage in stages:
        own = stage["traces"]
        if own is None:
            yield f"| {stage['name']} | | | | {_ms(stage['p95_ms'])} | | | {stage['valid']} |"
            continue
        yield (
            f"| {stage['name']} | {own['traces_per_s']:.1f} | {own['spans_per_s']:.0f} "
            f"| {own['dropped_spans']} | {_ms(stage['p95_ms'])} | {_ms(own['metadata_p95_ms'])} "
            f"| {_ms(own['cpu_ms_per_span'])} | {stage['valid']} |"
        )
    if len(stages) > 1:
        rates = [stage["traces"]["spans_per_s"] if stage["traces"] else 0.0 for stage in stages]
        yield from _chart("spans per second", [stage["name"] for stage in stages], rates)


def _operations(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield "| operation | count | p50 ms | p95 ms | MiB/s | failed |\n|---|---|---|---|---|---|"
    for row in rows:
        speed = "" if row["mib_per_s"] is None else f"{row['mib_per_s']:.1f}"
        yield (
            f"| {row['name']} | {row['count']} | {_ms(row['p50_ms'])} | {_ms(row['p95_ms'])} "
            f"| {speed} | {row['errors']} |"
        )
    values = [row["p50_ms"] for row in rows]
    if None not in values:
        yield from _chart("median, ms", [row["name"] for row in rows], values)


def _faults(faults: list[dict[str, Any]]) -> Iterator[str]:
    yield (
        "| fault | outage | service restored after | calls that failed "
        "| succeeded after a retry |\n|---|---|---|---|---|"
    )
    for fault in faults:
        if fault["fault_error"]:
            yield f"| {fault['fault']} | did not take: {fault['fault_error']} | | | |"
            continue
        recovery = "not seen" if fault["recovered_s"] is None else f"{fault['recovered_s']:.1f} s"
        yield (
            f"| {fault['fault']} | {fault['outage_s']:.2f} s | {recovery} | {fault['failed']} of "
            f"{fault['calls']} | {fault['succeeded_after_retry']} |"
        )
    observed = [fault for fault in faults if not fault["fault_error"]]
    names = [fault["fault"] for fault in observed]
    yield from _chart("outage, s", names, [fault["outage_s"] for fault in observed])


def _chart(title: str, labels: list[str], values: list[float]) -> Iterator[str]:
    """A bar chart that GitHub draws."""
    if not values:
        return
    shown = ", ".join(f'"{label}"' for label in labels)
    bars = ", ".join(f"{value:.4g}" for value in values)
    yield f"\n```mermaid\nxychart-beta\n    x-axis [{shown}]"
    yield f'    y-axis "{title}" 0 --> {max(values) * 1.1 or 1:.4g}\n    bar [{bars}]\n```'


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.1f}"


@contextlib.contextmanager
def _at_port(page: str, port: int | None) -> Iterator[None]:
    """Have the stack of a page at another port for a while."""
    match = re.search(r"-s (\S+)", " ".join(commands(page)))
    assert match
    config = ROOT / "stacks" / f"Pulumi.{match[1]}.yaml"
    before = config.read_text()
    if port is not None:
        config.write_text(before.replace('port: "5000"', f'port: "{port}"'))
    try:
        yield
    finally:
        if port is not None:
            config.write_text(config.read_text().replace(f'port: "{port}"', 'port: "5000"'))


def saved(page: str) -> Path:
    """Where a page's figures are kept."""
    return PAGES / "results" / f"{page}.json"


def written(page: str) -> str:
    """A page with the figures that are saved for it."""
    text = text_of(page)
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    shown = NOT_RUN
    if saved(page).exists():
        shown = figures(json.loads(saved(page).read_text()))
    return f"{before}{BEGIN}\n{shown}\n{END}{after}"


def main() -> None:
    """Run the pages that are named; write them, or all that have figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("pages", nargs="*", choices=[[], *names()], metavar="PAGE")
    parser.add_argument("--all", action="store_true", help="run every page")
    parser.add_argument("--write", action="store_true", help="write every page anew; run nothing")
    parser.add_argument("--port", type=int, help="of the stack meanwhile, where 5000 is taken")
    options = parser.parse_args()
    for page in names() if options.all else options.pages:
        with _at_port(page, options.port):
            steps = explore(page)
        saved(page).write_text(json.dumps(steps, indent=1) + "\n")
        _write(page)
    for page in names() if options.write else []:
        if saved(page).exists():
            _write(page)


def _write(page: str) -> None:
    text = written(page)
    (DRAFTS / f"{page}.md").unlink(missing_ok=True)
    (PAGES / f"{page}.md").write_text(text)


if __name__ == "__main__":
    main()
