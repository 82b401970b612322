"""The result on the terminal: a table of operations, the durability table, the verdict."""

import sys
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from workloads.target.probe_paths import RATES
from workloads.verdict.result import (
    Durability,
    Gate,
    Judgement,
    OperationFigures,
    Outage,
    Resilience,
    Result,
)

STYLES = {Judgement.GOOD: "green", Judgement.BAD: "red", Judgement.INVALID: "yellow"}
SHOWN = 10
PLAIN: dict[str, Any] = {"highlight": False, "soft_wrap": True}
UNKNOWN = "\N{EN DASH}"
FILE_WIDTH = 124
"""Columns of what is not printed on a terminal: every table fits."""


def console() -> Console:
    """Return a console as wide as the terminal, or wide enough for every table elsewhere."""
    return Console(width=None if sys.stdout.isatty() else FILE_WIDTH)


def show(result: Result, console: Console) -> None:
    """Print the result; the verdict comes last, where the eye is."""
    if len(result.stages) > 1:
        console.print(_stages(result))
    if any(stage.traces for stage in result.stages):
        console.print(_traces(result))
    console.print(_operations(result))
    if result.resilience:
        console.print(_faults(result.resilience))
        console.print(_outages(result.resilience))
        if any(fault.traces for fault in result.resilience.faults):
            console.print(_exports(result.resilience))
    show_durability(result.durability, console)
    for where, gate in _gates(result):
        mark = "not checked" if gate.passed is None else "failed"
        console.print(f"gate {mark}: {where}{gate.name}: {gate.measured}", **PLAIN)
    for reason in result.not_done:
        console.print(f"not done: {escape(reason)}", **PLAIN)
    verdict = result.verdict
    style = STYLES[verdict.judgement]
    console.print(f"\n[bold {style}]verdict: {verdict.judgement}[/]", **PLAIN)
    for reason in verdict.reasons:
        console.print(f"  {escape(reason)}", **PLAIN)


def _gates(result: Result) -> Iterator[tuple[str, Gate]]:
    """Yield gates that did not pass, with the stage that they are of where there are several."""
    for gate in (*result.gates, *(result.resilience.gates if result.resilience else ())):
        if gate.passed is not True:
            yield "", gate
    for stage in result.stages:
        where = f"{stage.stage.name}: " if len(result.stages) > 1 else ""
        for gate in stage.gates:
            if gate.passed is not True:
                yield where, gate


def _stages(result: Result) -> Table:
    table = Table(title="stages", title_justify="left")
    table.add_column("stage")
    planned = any(stage.calls.response_time for stage in result.stages)
    names = ["calls", "errors", "per s", "p50 ms", "p95 ms", "p99 ms"]
    names += ["response p95", "response p99"] if planned else []
    for name in (*names, "CPU ms/call", "valid"):
        table.add_column(name, justify="right")
    for stage in result.stages:
        calls, seen = stage.calls, stage.observed
        waits = [getattr(calls.response_time, name, None) for name in ("p95_ms", "p99_ms")]
        table.add_row(
            f"{stage.stage.name}{' *' if stage.stage.name == result.judged_stage else ''}",
            str(calls.count),
            f"[red]{calls.errors}[/]" if calls.errors else "0",
            f"{calls.rate:.1f}",
            *(number(value) for value in (calls.p50_ms, calls.p95_ms, calls.p99_ms)),
            *(number(value) for value in waits if planned),
            number(seen.cpu_ms_per_call if seen else None),
            stage.validity if stage.validity == "yes" else f"[yellow]{stage.validity}[/]",
        )
    return table


def _traces(result: Result) -> Table:
    table = Table(
        title="traces that were acknowledged, and dropped by clients", title_justify="left"
    )
    table.add_column("stage")
    names = (
        "traces/s",
        "spans/s",
        "dropped traces",
        "dropped spans",
        "metadata p95",
        "CPU ms/span",
    )
    for name in names:
        table.add_column(name, justify="right")
    for stage in result.stages:
        if (traces := stage.traces) is None:
            continue
        dropped = (traces.dropped_traces, traces.dropped_spans)
        table.add_row(
            f"{stage.stage.name}{' *' if stage.stage.name == result.judged_stage else ''}",
            f"{traces.traces_per_s:.1f}",
            f"{traces.spans_per_s:.0f}",
            *(f"[red]{count}[/]" if count else "0" for count in dropped),
            number(traces.metadata_p95_ms),
            number(traces.cpu_ms_per_span),
        )
    return table


def number(value: float | None) -> str:
    """Milliseconds to three figures; a dash where there are too few samples."""
    if value is None:
        return UNKNOWN
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _operations(result: Result) -> Table:
    of = f" of {result.judged_stage}" if len(result.stages) > 1 else ""
    judged = result.judged
    bound = ", times are at most and rates at least these" if judged and judged.bounded else ""
    title = f"load phase{of}, {result.load_s:.1f} s{bound}"
    table = Table(title=title, title_justify="left")
    table.add_column("operation")
    for name in ("count", "errors", "p50 ms", "p95 ms", "p99 ms", "per s"):
        table.add_column(name, justify="right")
    previous: OperationFigures | None = None
    for row in result.operations:
        if previous and previous.type != row.type:
            table.add_section()
        table.add_row(
            f"{'step ' if row.type == 'step' else ''}{escape(row.name)}",
            str(row.count),
            f"[red]{row.errors}[/]" if row.errors else "0",
            number(row.p50_ms),
            number(row.p95_ms),
            number(row.p99_ms),
            f"{row.rate:.1f}",
        )
        previous = row
    return table


def _faults(resilience: Resilience) -> Table:
    table = Table(title="faults, times in s", title_justify="left")
    for name in ("fault", "component", "errors that clients saw"):
        table.add_column(name)
    for name in ("recovered", "healed", "failed", "retried", "calls"):
        table.add_column(name, justify="right")
    for fault in resilience.faults:
        table.add_row(
            fault.fault,
            fault.component or UNKNOWN,
            ", ".join(f"{escape(word)} x {count}" for word, count in fault.client_errors.items())
            or "nothing",
            UNKNOWN if fault.recovered_s is None else f"{fault.recovered_s:.0f}",
            UNKNOWN if fault.healed_s is None else f"{fault.healed_s:.1f}",
            f"[red]{fault.failed}[/]" if fault.failed else "0",
            str(fault.succeeded_after_retry),
            str(fault.calls),
        )
    return table


def _outages(resilience: Resilience) -> Table:
    """The longest outage of each path: from what is certain to at most."""
    table = Table(title="longest outage by path, s: at least to at most", title_justify="left")
    table.add_column("fault")
    for path, rate in RATES.items():
        table.add_column(f"{path} ({rate}/s)", justify="right")
    table.add_column("objective", justify="right")
    for fault in resilience.faults:
        table.add_row(
            fault.fault,
            *(_outage(fault.outages.get(path), fault.outage_limit_s) for path in RATES),
            "none" if fault.outage_limit_s is None else f"≤ {fault.outage_limit_s:g}",
        )
    return table


def _exports(resilience: Resilience) -> Table:
    """What became of traces, for which no user waits."""
    table = Table(title="exports of traces around faults, times in s", title_justify="left")
    table.add_column("fault")
    names = ("exports", "failed", "retried", "dropped spans", "most waiting", "all arrived again")
    for name in names:
        table.add_column(name, justify="right")
    for fault in resilience.faults:
        if (traces := fault.traces) is None:
            continue
        table.add_row(
            fault.fault,
            str(traces.exports),
            f"[red]{traces.failed}[/]" if traces.failed else "0",
            str(traces.succeeded_after_retry),
            f"[red]{traces.dropped_spans}[/]" if traces.dropped_spans else "0",
            str(traces.most_unsent),
            UNKNOWN if traces.recovered_s is None else f"{traces.recovered_s:.0f}",
        )
    return table


def _outage(outage: Outage | None, limit_s: float | None) -> str:
    if outage is None:
        return UNKNOWN
    met = outage.within(limit_s) if outage.affected else True
    colour = {True: "", None: "yellow", False: "red"}[met]
    return f"[{colour}]{outage}[/]" if colour else str(outage)


def show_durability(durability: Durability, console: Console) -> None:
    """Print the sets of each kind, and the first findings."""
    console.print(_sets(durability))
    if durability.reconciled:
        console.print(f"  {len(durability.reconciled)} doubles were removed", **PLAIN)
    for finding in durability.findings[:SHOWN]:
        console.print(f"  {escape(finding)}", **PLAIN)
    if (more := len(durability.findings) - SHOWN) > 0:
        console.print(f"  … and {more} more in result.json", **PLAIN)


def _sets(durability: Durability) -> Table:
    where = ", ".join(durability.sources) or "nowhere"
    title = f"read back from {where}: {durability.verdict}"
    table = Table(title=title, title_justify="left")
    table.add_column("kind", no_wrap=True)
    columns = ("attempted", "acknowledged", "present", "lost", "recovered", "unexpected")
    names = (*columns, "duplicates", "orphans", "differing", "unread")
    for name in names:
        table.add_column(name, justify="right", overflow="fold")
    for kind, sets in durability.kinds.items():
        figures = sets.model_dump()
        table.add_row(kind, *(str(figures[name]) for name in names))
    return table
