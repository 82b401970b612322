"""Figures from the raw record of a stage's load phase."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from workloads.record import NEVER, Record, Rows, Window, durations_ms
from workloads.result import Latency, OperationFigures

ALL_CALLS = "all API calls"
BATCHES = 5
"""Few and long: what is slow within a run, as a checkpoint, is then in the margin as well."""
ENOUGH_ANSWERS = 100
SAMPLES = {50: 1, 95: 20, 99: 1000}
"""Fewest samples by percentile: one beyond the 95th, ten beyond the 99th."""


def latency(values_ms: NDArray[np.float64]) -> Latency:
    """Exact percentiles, linear between neighbours (Hyndman and Fan's type 7, numpy's default)."""

    def at(percentile: int) -> float | None:
        if len(values_ms) < SAMPLES[percentile]:
            return None
        return float(np.percentile(values_ms, percentile))

    most = float(values_ms.max()) if len(values_ms) else None
    return Latency(p50_ms=at(50), p95_ms=at(95), p99_ms=at(99), max_ms=most)


def calls(record: Record, window: Window) -> OperationFigures:
    """All API calls of a stage together."""
    return _row("call", ALL_CALLS, record.of_type(record.within(window), "call"), window)


def table(record: Record, window: Window) -> list[OperationFigures]:
    """All API calls of a stage, then whole steps, then each API call by name."""
    groups = list(record.by_name(record.within(window)))
    groups.sort(key=lambda group: (group[0] != "step", group[1].split()[-1]))
    return [
        calls(record, window),
        *(_row(type_, name, rows, window) for type_, name, rows in groups),
    ]


def errors(record: Record) -> dict[str, int]:
    """Failed or unknown operations of all load phases by what was said, most frequent first.

    A step that failed is named only where none of the calls did: it has the same reason else.
    """
    said: dict[str, Counter[str]] = {"call": Counter(), "step": Counter()}
    for begun, type_, what in record.errors:
        if any(w.begin_ns <= begun < w.end_ns for w in record.windows):
            said[type_][what] += 1
    return dict((said["call"] or said["step"]).most_common())


def timed(rows: Rows) -> Rows:
    """Those whose latency counts: they succeeded, and nothing ran beside them in the client."""
    counted: Rows = rows[rows["ok"] & ~rows["background"]]
    return counted


def waits_ms(rows: Rows) -> NDArray[np.float64]:
    """Milliseconds from the planned begin to the end, of those that were planned and ended."""
    planned = rows[(rows["planned"] != NEVER) & (rows["completed"] != NEVER)]
    return (planned["completed"] - planned["planned"]) / 1e6  # type: ignore[no-any-return]


def lags_ms(rows: Rows) -> NDArray[np.float64]:
    """Milliseconds from the planned begin to the real one, of those that were planned."""
    planned = rows[rows["planned"] != NEVER]
    return (planned["invoked"] - planned["planned"]) / 1e6  # type: ignore[no-any-return]


def rate_margin(rows: Rows, window: Window) -> float | None:
    """Half of the 95 % confidence interval of a stage's rate, in 1/s; None with under 100 answers.

    From the means of five batches of equal length (Law, "Simulation Modeling and Analysis", batch
    means): 2.776 is Student's t with four degrees of freedom.
    """
    answered = rows["invoked"][rows["ok"]]
    if len(answered) < ENOUGH_ANSWERS or not window.seconds:
        return None
    edges = np.linspace(window.begin_ns, window.end_ns, BATCHES + 1)
    rates = np.histogram(answered, bins=edges)[0] / (window.seconds / BATCHES)
    return float(2.776 * rates.std(ddof=1) / np.sqrt(BATCHES))


def _row(type_: str, name: str, rows: Rows, window: Window) -> OperationFigures:
    good = int(rows["ok"].sum())
    counted = timed(rows)
    spread = latency(durations_ms(counted))
    waits = waits_ms(counted)
    sizes = np.unique(rows["size"])
    size = int(sizes[0]) if len(sizes) == 1 and sizes[0] != NEVER else None
    return OperationFigures(
        name=name,
        type=type_,
        count=len(rows),
        errors=len(rows) - good,
        rate=good / window.seconds if window.seconds else 0.0,
        rate_margin=rate_margin(rows, window),
        background=int(rows["background"].sum()),
        retried=int(rows["retried"].sum()),
        intended=latency(waits) if len(waits) else None,
        size_bytes=size,
        mib_per_s=size / 2**20 / (spread.p50_ms / 1000) if size and spread.p50_ms else None,
        **spread.model_dump(),
    )
