"""Figures from the raw record of a stage's load phase."""

from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from workloads.history.record import NEVER, Record, Rows, Window, durations_ms
from workloads.verdict.result import Half, Latency, OperationFigures

ALL_CALLS = "all API calls"
BATCHES = 5
"""Few and long: what is slow within a run, as a checkpoint, is then in the margin as well."""
ENOUGH_ANSWERS = 100
SAMPLES = {50: 1, 95: 20, 99: 1000}
"""Fewest samples by percentile: one beyond the 95th, ten beyond the 99th."""


Z = 1.96
"""Quantile of the normal distribution for an interval of 95 %."""


def p95_interval(values_ms: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """95 % confidence interval of the 95th percentile in ms, by order statistics.

    The ranks are those of the normal approximation to the binomial distribution (W. J. Conover,
    "Practical Nonparametric Statistics", confidence interval for a quantile). Calls that follow
    each other are not independent, so the true interval is somewhat wider. None for an end that
    so few samples do not give.
    """
    number = len(values_ms)
    if number < SAMPLES[95]:
        return None, None
    ordered = np.sort(values_ms)
    spread = Z * np.sqrt(number * 0.95 * 0.05)
    low = max(1, int(np.floor(0.95 * number - spread)))
    high = int(np.ceil(0.95 * number + spread))
    return float(ordered[low - 1]), float(ordered[high - 1]) if high <= number else None


def latency(values_ms: NDArray[np.float64]) -> Latency:
    """Exact percentiles, linear between neighbours (Hyndman and Fan's type 7, numpy's default)."""

    def at(percentile: int) -> float | None:
        if len(values_ms) < SAMPLES[percentile]:
            return None
        return float(np.percentile(values_ms, percentile))

    most = float(values_ms.max()) if len(values_ms) else None
    low, high = p95_interval(values_ms)
    return Latency(
        p50_ms=at(50),
        p95_ms=at(95),
        p99_ms=at(99),
        max_ms=most,
        p95_low_ms=low,
        p95_high_ms=high,
    )


def calls(record: Record, window: Window) -> OperationFigures:
    """All API calls of a stage together."""
    rows = record.of_type(record.within(window), "call")
    return _row("call", ALL_CALLS, rows, record.of_type(record.answered(window), "call"), window)


def table(record: Record, window: Window) -> list[OperationFigures]:
    """All API calls of a stage, then whole steps, then each API call by name."""
    groups = list(record.by_name(record.within(window)))
    groups.sort(key=lambda group: (group[0] != "step", group[1].split()[-1]))
    answered = record.answered(window)
    return [
        calls(record, window),
        *(
            _row(type_, name, rows, answered[answered["name"] == rows["name"][0]], window)
            for type_, name, rows in groups
        ),
    ]


def steps(record: Record) -> tuple[int, int]:
    """How many steps the stages had, and how many of them failed."""
    steps_of_stages = [record.of_type(record.within(window), "step") for window in record.windows]
    return sum(map(len, steps_of_stages)), sum(int((~rows["ok"]).sum()) for rows in steps_of_stages)


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


def times_ms(rows: Rows) -> NDArray[np.float64]:
    """Milliseconds that objectives are about: of planned ones that succeeded from then on."""
    counted = timed(rows)
    waits = waits_ms(counted)
    return waits if len(waits) else durations_ms(counted)


def lags_ms(rows: Rows) -> NDArray[np.float64]:
    """Milliseconds from the planned begin to the real one, of those that were planned."""
    planned = rows[rows["planned"] != NEVER]
    return (planned["invoked"] - planned["planned"]) / 1e6  # type: ignore[no-any-return]


def halves(record: Record, window: Window) -> list[Half]:
    """The first half of a stage's load phase and the second."""
    middle = (window.begin_ns + window.end_ns) // 2
    both = []
    for half in (replace(window, end_ns=middle), replace(window, begin_ns=middle)):
        rows = record.of_type(record.within(half), "call")
        waits = waits_ms(rows)
        times = waits if len(waits) else durations_ms(timed(rows))
        answered = record.of_type(record.answered(half), "call")
        rate = len(answered) / half.seconds if half.seconds else 0.0
        both.append(Half(rate=rate, p95_ms=latency(times).p95_ms))
    return both


def in_flight(record: Record, window: Window) -> float:
    """Mean number of calls that users waited for (Little's law: rate times mean time)."""
    rows = record.of_type(record.within(window), "call")
    waited = durations_ms(rows[~rows["background"] & (rows["completed"] != NEVER)]).sum()
    return float(waited / 1000 / window.seconds) if window.seconds else 0.0


def rate_margin(answered: Rows, window: Window) -> float | None:
    """Half of the 95 % confidence interval of a stage's rate, in 1/s; None with under 100 answers.

    From the means of five batches of equal length (Law, "Simulation Modeling and Analysis", batch
    means): 2.776 is Student's t with four degrees of freedom.
    """
    if len(answered) < ENOUGH_ANSWERS or not window.seconds:
        return None
    at = np.where(answered["planned"] == NEVER, answered["invoked"], answered["completed"])
    edges = np.linspace(window.begin_ns, window.end_ns, BATCHES + 1)
    rates = np.histogram(at, bins=edges)[0] / (window.seconds / BATCHES)
    return float(2.776 * rates.std(ddof=1) / np.sqrt(BATCHES))


def _row(type_: str, name: str, rows: Rows, answered: Rows, window: Window) -> OperationFigures:
    counted = timed(rows)
    spread = latency(durations_ms(counted))
    waits = waits_ms(counted)
    sizes = np.unique(rows["size"])
    size = int(sizes[0]) if len(sizes) == 1 and sizes[0] != NEVER else None
    return OperationFigures(
        name=name,
        type=type_,
        count=len(rows),
        errors=len(rows) - int(rows["ok"].sum()),
        rate=len(answered) / window.seconds if window.seconds else 0.0,
        rate_margin=rate_margin(answered, window),
        background=int(rows["background"].sum()),
        retried=int(rows["retried"].sum()),
        response_time=latency(waits) if len(waits) else None,
        size_bytes=size,
        mib_per_s=size / 2**20 / (spread.p50_ms / 1000) if size and spread.p50_ms else None,
        **spread.model_dump(),
    )
