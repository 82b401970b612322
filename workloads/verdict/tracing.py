"""Traces of a stage: what came of them in a second, and what clients threw away."""

from itertools import takewhile

import numpy as np

from workloads.history.history import DROPPED
from workloads.history.record import Record, Window
from workloads.plan.plan import Load
from workloads.verdict.figures import latency, times_ms
from workloads.verdict.result import Observed, StageFigures, TraceFigures

METADATA = ("GET experiments/get", "POST experiments/search", "POST runs/search", "GET runs/get")
"""Calls that read metadata, which ingestion must not stall."""

ARRIVES = 0.95
"""Share of the planned traces from which on all of them count as arriving: some are under way."""


def figures(record: Record, window: Window, observed: Observed | None) -> TraceFigures | None:
    """Return the figures of a load phase; None without a trace."""
    answered = record.answered(window)
    traces, spans = (int(answered[what].sum()) for what in ("traces", "spans"))
    lines = record.lines(DROPPED, window)
    if not (traces or spans or lines) or not window.seconds:
        return None
    cpu_s = sum(one.cpu for one in observed.components.values()) if observed else 0.0
    reads = [rows for _, name, rows in record.by_name(record.within(window)) if name in METADATA]
    waits = latency(times_ms(np.concatenate(reads))) if reads else None
    return TraceFigures(
        metadata_p95_ms=waits.p95_ms if waits else None,
        traces_per_s=traces / window.seconds,
        spans_per_s=spans / window.seconds,
        cpu_ms_per_span=1000 * cpu_s * window.seconds / spans if cpu_s and spans else None,
        dropped_traces=sum(line["count"] for line in lines if line["what"] == "trace"),
        dropped_spans=sum(line["spans"] for line in lines if line["what"] == "spans"),
    )


def said(stages: list[StageFigures], judged: StageFigures | None) -> list[str]:
    """Say what came of the traces in the judged stage, and at which rate not all arrive."""
    reasons = []
    if judged and (own := judged.traces):
        cost = ""
        if own.cpu_ms_per_span is not None:
            cost = f", {own.cpu_ms_per_span:.1f} ms of the stack's CPU for each span"
        reasons.append(
            f"{own.traces_per_s:.1f} traces/s with {own.spans_per_s:.0f} spans/s were "
            f"acknowledged{cost}."
        )
    by_rate = [s for s in stages if s.traces and s.stage.load is Load.OPEN and s.stage.rate]
    if len(by_rate) > 1 and not any(stage.stage.goes_on for stage in by_rate):
        reasons.append(_rates(by_rate))
    return reasons


def arrives(stage: StageFigures) -> bool:
    """Whether the traces of an open stage were acknowledged as fast as they came, and all."""
    own, rate = stage.traces, stage.stage.rate or 0
    if own is None or own.dropped_spans or own.dropped_traces or stage.dropped_calls:
        return False
    # How many come is by chance: of a Poisson process one in forty has less.
    least = ARRIVES * (rate - 2 * (rate / stage.load_s) ** 0.5) if stage.load_s else rate
    return own.traces_per_s >= least


def _rates(stages: list[StageFigures]) -> str:
    late = next((stage for stage in stages if not arrives(stage)), None)
    kept = list(takewhile(arrives, stages))
    best = max(stage.traces.traces_per_s for stage in stages if stage.traces)
    if late is None:
        return f"All arrives up to {stages[-1].stage.rate:g} planned traces/s: try more."
    until = "Not all arrives in time at the lowest rate"
    if kept:
        until = f"All arrives up to {kept[-1].stage.rate:g} planned traces/s"
    own = late.traces
    assert own
    return (
        f"{until}; at {late.stage.rate:g} there are {own.traces_per_s:.1f}/s, and clients drop "
        f"{own.dropped_spans} spans. The most was {best:.1f} traces/s."
    )
