"""Searching among many traces: database bytes and p95 by kind of search, with what shortens it.

    python -m scripts.benchmarks.trace_search [--traces 100k] [--spans 10] [--duration 300]
                                            [--ways plain,rollups,archival] [--json FILE]

Deploys a stack as `local` is, on a port of its own, fills its database with `python -m workloads
fill`, and runs the scenario `trace-search` on it: as it is (`plain`), then with rollups once each
whole day has them (`rollups`), then with the contents of all spans archived, too (`archival`).
Prints a table of Markdown after each way, and removes the stack. The files of the runs are kept in
`results/`. Needs an activated shell and a quiet machine. A way that cannot be measured is told, and
the next one follows; the exit status is then 1.

With 100,000 traces the archival moves as many files: `--patience` is how many minutes each of the
two may take. What is not archived by then is told. Bytes are those of the whole database with its
indexes; after archival also those once `vacuum full` gave free space back.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import docker

from tests.e2e.stack import ROOT, Stack, end, new_stack
from workloads import CannotRunError
from workloads.commands.fill import number
from workloads.filling.experiment import name_of
from workloads.target.backend_store import connect
from workloads.verdict.result import Result

NAME = "bench-traces"
WAYS = ("plain", "rollups", "archival")
EVERY_MINUTE = "* * * * *"
KEYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "rollups": {"trace_rollups": True, "trace_rollup_schedule": EVERY_MINUTE},
    "archival": {
        "trace_rollups": True,
        "trace_rollup_schedule": EVERY_MINUTE,
        "trace_archival": "1m",
    },
}
"""Keys of the stack in each way."""
POLL_S = 10
MIB = 2**20
NONE = "\N{EN DASH}"


class NotMeasuredError(Exception):
    """A way could not be measured, and why."""


@dataclass
class Measured:
    """What was found in one way. Sizes in bytes, times in ms by step; None: under 20 samples."""

    way: str
    database: int
    spans_table: int
    vacuumed: int | None = None
    waited_s: float | None = None
    verdict: str = ""
    steps: dict[str, dict[str, float | int | None]] = field(default_factory=dict)


@contextmanager
def database(stack: Stack) -> Iterator[Callable[[str], list[tuple[Any, ...]]]]:
    """Gives a function that runs SQL in the stack's database and returns its rows."""
    subject = stack.subject()
    assert subject.target
    assert subject.secrets
    password = subject.secrets.database_password
    with closing(connect(subject.target.backend_store, password, "benchmark")) as connection:
        connection.autocommit = True  # `vacuum` stands alone

        def ask(query: str) -> list[tuple[Any, ...]]:
            with connection.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []

        yield ask


def sizes(stack: Stack) -> tuple[int, int]:
    """Bytes of the database, and of the spans with their indexes."""
    with database(stack) as ask:
        [found] = ask(
            "select pg_database_size(current_database()), pg_total_relation_size('spans')"
        )
    return int(found[0]), int(found[1])


def command(stack: Stack, *arguments: str) -> str:
    """Run `python -m workloads` on the stack; returns what it printed."""
    with stack.in_project():
        done = subprocess.run(
            [sys.executable, "-m", "workloads", *arguments, "--stack", stack.name],
            cwd=ROOT,
            env=os.environ | stack.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    if done.returncode not in (0, 1, 3):  # a verdict of a run may be bad, or open
        lines = done.stdout.strip().splitlines() or ["no message"]
        raise NotMeasuredError(f"{arguments[0]} ended with {done.returncode}: {lines[-1]}")
    return done.stdout


def wait(what: str, left: Callable[[], int], minutes: float) -> None:
    """Wait until nothing is left; raises `NotMeasuredError` after so long."""
    began = time.monotonic()
    while remaining := left():
        if time.monotonic() - began > minutes * 60:
            raise NotMeasuredError(f"{remaining} {what} are left after {minutes:g} minutes")
        print(f"  {remaining} {what} left", file=sys.stderr, flush=True)
        time.sleep(POLL_S)


def prepare(stack: Stack, way: str, experiment: str, patience: float) -> float | None:
    """Deploy what the way has and wait for its effect; returns the seconds of both."""
    stack.configure(**KEYS[way])
    began = time.monotonic()
    try:
        stack.up()
    except (AssertionError, subprocess.TimeoutExpired) as error:
        said = f"up failed: {str(error).strip().splitlines()[-1]}"
        if way == "plain":
            raise NotMeasuredError(said) from None
        # The jobs of a large database outlast the wait for them, and go on.
        print(f"{way}: {said}", file=sys.stderr, flush=True)
    if way == "plain":
        return None
    with database(stack) as ask:
        [(key,)] = ask(f"select experiment_id from experiments where name = '{experiment}'")
        # Days that ended a day ago: the server leaves younger ones to raw data.
        days = f"""
            with days as (
                select distinct (to_timestamp(timestamp_ms / 1000) at time zone 'UTC')::date as day
                from trace_info where experiment_id = {key}
                and timestamp_ms < (extract(epoch from date_trunc('day', now() at time zone 'UTC'))
                    - 86400) * 1000
            )
            select count(*) from days where day not in (
                select rollup_day from sql_trace_metric_daily_rollups where experiment_id = {key}
            )
        """
        contents = f"""
            select count(*) from trace_info where experiment_id = {key} and exists (
                select from spans where trace_id = request_id and content <> ''
            )
        """
        if way == "rollups":
            wait("days without rollups", lambda: int(ask(days)[0][0]), patience)
        else:
            wait("traces to be archived", lambda: int(ask(contents)[0][0]), patience)
    return time.monotonic() - began


def measure(stack: Stack, way: str, options: argparse.Namespace) -> Measured:
    """Measure one way; raises `NotMeasuredError`."""
    waited_s = prepare(stack, way, name_of(options.traces, options.spans), options.patience)
    found = Measured(way, *sizes(stack), waited_s=waited_s)
    if way == "archival":
        with database(stack) as ask:
            ask("vacuum (full, analyze) spans")
        found.vacuumed = sizes(stack)[0]
    folder = ROOT / "results" / f"{NAME}-{way}"
    for old in folder.glob("*"):
        old.unlink()
    given = {
        "traces": options.traces,
        "spans": options.spans,
        "archived": str(way == "archival").lower(),
    }
    said = command(
        stack,
        *("run", "--scenario", "trace-search", "--users", str(options.users)),
        *("--duration", str(options.duration), "--seed", str(options.seed)),
        *(f"--set={name}={value}" for name, value in given.items()),
        *("--results", str(folder)),
    )
    if not (folder / "result.json").exists():
        raise NotMeasuredError(said.strip().splitlines()[-1])
    result = Result.model_validate_json((folder / "result.json").read_text())
    found.verdict = result.verdict.judgement.value
    for reason in result.verdict.reasons:
        print(f"{way}: {found.verdict}: {reason}", file=sys.stderr, flush=True)
    for row in result.operations:
        if row.type == "step":
            found.steps[row.name] = {
                "count": row.count,
                "errors": row.errors,
                "p50_ms": row.p50_ms,
                "p95_ms": row.p95_ms,
            }
    return found


def table(measured: list[Measured]) -> str:
    """The figures as a table of Markdown, one column a way."""

    def line(cells: list[str]) -> str:
        return f"| {' | '.join(cells)} |"

    def ms(value: float | int | None) -> str:
        return NONE if value is None else f"{value:,.0f}"

    rows = [["", *(one.way for one in measured)], ["---"] * (len(measured) + 1)]
    rows.append(["database, MiB", *(f"{one.database / MIB:,.0f}" for one in measured)])
    rows.append(["of it spans, MiB", *(f"{one.spans_table / MIB:,.0f}" for one in measured)])
    vacuumed = (NONE if one.vacuumed is None else f"{one.vacuumed / MIB:,.0f}" for one in measured)
    rows.append(["after `vacuum full`, MiB", *vacuumed])
    waits = (NONE if one.waited_s is None else f"{one.waited_s:,.0f}" for one in measured)
    rows.append(["in effect after, s, with the update", *waits])
    rows.append(["verdict", *(one.verdict for one in measured)])
    for step in dict.fromkeys(step for one in measured for step in one.steps):
        cells = [f"{step}: p50 / p95 ms (errors of)"]
        for one in measured:
            if (at := one.steps.get(step)) is None:
                cells.append("not asked")
            else:
                times = f"{ms(at['p50_ms'])} / {ms(at['p95_ms'])}"
                cells.append(f"{times} ({at['errors']} of {at['count']})")
        rows.append(cells)
    return "\n".join(map(line, rows))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--traces", default="100k", help="how many, as 5k or 100k")
    parser.add_argument("--spans", type=int, default=10, help="spans of each trace")
    parser.add_argument("--users", type=int, default=4)
    parser.add_argument("--duration", type=float, default=300, help="seconds of load of each way")
    parser.add_argument("--patience", type=float, default=120, help="minutes for a way's effect")
    parser.add_argument("--ways", default=",".join(WAYS), help="with commas between, in order")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    options = parser.parse_args()
    try:
        options.traces = number(options.traces)
    except CannotRunError as error:
        parser.error(str(error))
    options.ways = options.ways.split(",")
    if unknown := set(options.ways) - set(WAYS):
        parser.error(f"--ways {','.join(sorted(unknown))}: there are {', '.join(WAYS)}")
    return options


def main() -> int:
    """Deploy, fill, measure, print; 1 if a way was not measured."""
    options = _arguments()
    client = docker.from_env()
    measured: list[Measured] = []
    with tempfile.TemporaryDirectory() as folder:
        stack = new_stack(NAME, Path(folder))
        try:
            stack.up()
            empty, _ = sizes(stack)
            began = time.monotonic()
            print(
                command(
                    stack,
                    *("fill", "--traces", str(options.traces), "--spans", str(options.spans)),
                ),
                flush=True,
            )
            filled_s = time.monotonic() - began
            print(f"filled in {filled_s:.0f} s; {empty / MIB:,.0f} MiB before\n", flush=True)
            for way in options.ways:
                try:
                    measured.append(measure(stack, way, options))
                except NotMeasuredError as error:
                    print(f"{way}: not measured: {error}", file=sys.stderr, flush=True)
                else:
                    print(f"{table(measured)}\n", flush=True)
        except NotMeasuredError as error:
            print(f"not measured: {error}", file=sys.stderr, flush=True)
        finally:
            end(stack, client)
            client.close()
    if options.json:
        options.json.write_text(json.dumps([asdict(one) for one in measured], indent=2) + "\n")
    return int(len(measured) < len(options.ways))


if __name__ == "__main__":
    sys.exit(main())
