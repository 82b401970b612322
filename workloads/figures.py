"""Figures from the raw record of the load phase."""

from collections import Counter, defaultdict

import numpy as np

from workloads.history import Operation, Record
from workloads.result import Latency, OperationFigures

ALL_CALLS = "all API calls"
SAMPLES = {50: 1, 95: 20, 99: 1000}
"""Fewest samples by percentile: one beyond the 95th, ten beyond the 99th."""


def measured(record: Record) -> list[Operation]:
    """Operations that began in the load phase: not those of the warm-up."""
    begin, end = window_ns(record)
    return [o for o in record.operations if begin <= o.invoked_ns < end]


def window_ns(record: Record) -> tuple[int, int]:
    """Begin and end of the load phase, in ns; the end of the record if it was cut short."""
    begin = record.phases.get("load")
    if begin is None:
        return 0, 0
    last = max((o.completed_ns or o.invoked_ns for o in record.operations), default=begin)
    return begin, record.phases.get("finish", max(begin, last))


def latency(values_ms: list[float]) -> Latency:
    """Exact percentiles, linear between neighbours (Hyndman and Fan's type 7, numpy's default)."""

    def at(percentile: int) -> float | None:
        if len(values_ms) < SAMPLES[percentile]:
            return None
        return float(np.percentile(values_ms, percentile))

    return Latency(p50_ms=at(50), p95_ms=at(95), p99_ms=at(99), max_ms=max(values_ms, default=None))


def table(record: Record) -> list[OperationFigures]:
    """All API calls, then training steps, then each API call by name."""
    begin, end = window_ns(record)
    seconds = (end - begin) / 1e9
    operations = measured(record)
    groups: dict[tuple[str, str], list[Operation]] = defaultdict(list)
    for operation in operations:
        groups[operation.type, operation.name].append(operation)
    calls = [o for o in operations if o.type == "call"]
    rows = [_row("call", ALL_CALLS, calls, seconds)]
    for type_, name in sorted(groups, key=lambda key: (key[0] != "step", key[1].split()[-1])):
        rows.append(_row(type_, name, groups[type_, name], seconds))
    return rows


def errors(record: Record) -> dict[str, int]:
    """Failed or unknown calls of the load phase by what was said, most frequent first."""
    said = Counter(
        f"{o.name}: {o.error or 'ended without an answer'}"
        for o in measured(record)
        if o.type == "call" and o.outcome != "ok"
    )
    return dict(said.most_common())


def timed(operation: Operation) -> bool:
    """Whether its latency counts: it succeeded, and nothing else ran beside it in the client."""
    return operation.outcome == "ok" and not operation.background


def _row(type_: str, name: str, group: list[Operation], seconds: float) -> OperationFigures:
    good = [o for o in group if o.outcome == "ok"]
    spread = latency([o.duration_ms or 0.0 for o in group if timed(o)])
    return OperationFigures(
        name=name,
        type=type_,
        count=len(group),
        errors=len(group) - len(good),
        rate=len(good) / seconds if seconds else 0.0,
        background=sum(o.background for o in group),
        retried=sum(bool(o.retries) for o in group),
        **spread.model_dump(),
    )
