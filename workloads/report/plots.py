"""The report's figures."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]

from workloads.figures import timed, window_ns
from workloads.history import Operation, Record

COLOURS = {
    "text": "#1c2430",
    "muted": "#5b6778",
    "line": "#dde2e9",
    "panel": "#ffffff",
    "accent": "#2b6cb0",
    "accent-2": "#c05621",
    "bad": "#b3261e",
}
"""Stand-ins by CSS variable: plotly wants real colours, the page's script puts in its own."""

MOST_POINTS = 4000
BOX = (5, 25, 50, 75, 95)
TICKS = [digit * 10**power for power in range(-1, 6) for digit in (1, 2, 5)]


@dataclass(frozen=True)
class Plot:
    """A figure with what it shows, in words: its text alternative stands beside it."""

    name: str
    title: str
    caption: str
    figure: str


def plots(record: Record) -> list[Plot]:
    """All figures of a run, from the raw record; none if nothing was measured."""
    calls = [o for o in record.operations if o.type == "call" and o.completed_ns is not None]
    if "load" not in record.phases or not any(timed(o) for o in calls):
        return []
    return [_latency(record, calls), _throughput(record, calls), _distribution(record)]


def _seconds(record: Record, ns: int) -> float:
    return (ns - window_ns(record)[0]) / 1e9


def _by_second(record: Record, calls: list[Operation]) -> dict[int, list[Operation]]:
    seconds: dict[int, list[Operation]] = defaultdict(list)
    for call in calls:
        seconds[int(np.floor(_seconds(record, call.completed_ns or 0)))].append(call)
    return dict(sorted(seconds.items()))


def _latency(record: Record, calls: list[Operation]) -> Plot:
    good = [c for c in calls if timed(c)]
    shown = good[:: len(good) // MOST_POINTS + 1]
    bad = [c for c in calls if c.outcome != "ok"]
    figure = go.Figure()
    figure.add_scatter(
        x=[round(_seconds(record, c.completed_ns or 0), 3) for c in shown],
        y=[round(c.duration_ms or 0, 2) for c in shown],
        text=[c.name for c in shown],
        mode="markers",
        name="one call",
        marker={"color": COLOURS["muted"], "size": 4, "opacity": 0.45},
        hovertemplate="%{text}<br>%{y:.1f} ms<extra></extra>",
    )
    seconds = _by_second(record, good)
    for percentile, colour in ((50, COLOURS["accent"]), (95, COLOURS["accent-2"])):
        figure.add_scatter(
            x=[second + 0.5 for second in seconds],
            y=[_percentile(group, percentile) for group in seconds.values()],
            mode="lines",
            name=f"p{percentile} of each second",
            line={"color": colour, "width": 2.5},
            hovertemplate=f"p{percentile} %{{y:.1f}} ms<extra></extra>",
        )
    if bad:
        figure.add_scatter(
            x=[round(_seconds(record, c.completed_ns or 0), 3) for c in bad],
            y=[round(c.duration_ms or 0, 2) for c in bad],
            text=[f"{c.name}: {c.error or ''}"[:120] for c in bad],
            mode="markers",
            name="failed call",
            marker={"color": COLOURS["bad"], "size": 8, "symbol": "x"},
            hovertemplate="%{text}<br>%{y:.1f} ms<extra></extra>",
        )
    _phases(figure, record)
    figure.update_yaxes(title="ms, logarithmic", type="log", tickvals=TICKS)
    left_out = f" {len(shown)} of {len(good)} calls are drawn." if len(shown) < len(good) else ""
    return Plot(
        name="latency",
        title="Latency of API calls over time",
        caption="Each call by when it was answered, with the median and the 95th percentile of "
        f"each second. The shaded time is warm-up and is in no figure.{left_out}",
        figure=_json(figure, "seconds since the load began"),
    )


def _throughput(record: Record, calls: list[Operation]) -> Plot:
    figure = go.Figure()
    seconds = _by_second(record, calls)
    span = range(min(seconds), max(seconds) + 1)
    for name, colour, good in (("answered", "accent", True), ("failed", "bad", False)):
        counts = [sum((c.outcome == "ok") is good for c in seconds.get(s, [])) for s in span]
        if good or any(counts):
            figure.add_bar(
                x=[s + 0.5 for s in span],
                y=counts,
                name=name,
                marker={"color": COLOURS[colour], "line": {"width": 0}},
                hovertemplate=f"%{{y}} {name}<extra></extra>",
            )
    figure.update_layout(barmode="stack", bargap=0.15)
    _phases(figure, record)
    figure.update_yaxes(title="calls per second", rangemode="tozero")
    return Plot(
        name="throughput",
        title="Throughput over time",
        caption="API calls by the second in which they were answered.",
        figure=_json(figure, "seconds since the load began"),
    )


def _distribution(record: Record) -> Plot:
    begin, end = window_ns(record)
    groups: dict[tuple[bool, str], list[float]] = defaultdict(list)
    for operation in record.operations:
        if timed(operation) and begin <= operation.invoked_ns < end:
            groups[operation.type == "step", operation.name].append(operation.duration_ms or 0)
    ordered = sorted(groups.items(), key=lambda item: float(np.median(item[1])))
    figure = go.Figure()
    for step, colour in ((False, COLOURS["accent"]), (True, COLOURS["accent-2"])):
        rows = [(name, values) for (is_step, name), values in ordered if is_step is step]
        low, q1, middle, q3, high = (
            [round(float(np.percentile(values, p)), 2) for _, values in rows] for p in BOX
        )
        figure.add_box(
            y=[name for name, _ in rows],
            lowerfence=low,
            q1=q1,
            median=middle,
            q3=q3,
            upperfence=high,
            orientation="h",
            name="training step" if step else "API call",
            line={"color": colour, "width": 1.5},
            fillcolor=COLOURS["panel"],
            hoverinfo="x",
        )
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[name for (_, name), _ in ordered],
        automargin=True,
        dtick=1,
    )
    figure.update_layout(boxmode="overlay", height=130 + 26 * len(ordered))
    return Plot(
        name="distribution",
        title="Latency by operation",
        caption="Box: the middle half with its median; whiskers: 5th and 95th percentile. "
        "Training steps contain the client's own computing.",
        figure=_json(figure, "ms, logarithmic", log=True),
    )


def _percentile(group: list[Operation], percentile: int) -> float:
    return round(float(np.percentile([o.duration_ms or 0 for o in group], percentile)), 2)


def _phases(figure: Any, record: Record) -> None:
    warm_up = record.phases.get("warm-up")
    if warm_up is not None:
        figure.add_vrect(
            x0=_seconds(record, warm_up),
            x1=0,
            fillcolor=COLOURS["muted"],
            opacity=0.14,
            line_width=0,
        )


def _json(figure: Any, x_title: str, *, log: bool = False) -> str:
    line = COLOURS["line"]
    figure.update_xaxes(title=x_title)
    if log:
        figure.update_xaxes(type="log", tickvals=TICKS)
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": COLOURS["text"], "family": "system-ui, sans-serif", "size": 13},
        margin={"l": 64, "r": 12, "t": 8, "b": 48},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        dragmode=False,
        hoverlabel={
            "bgcolor": COLOURS["panel"],
            "bordercolor": line,
            "font": {"color": COLOURS["text"]},
        },
    )
    figure.update_xaxes(gridcolor=line, zerolinecolor=line, linecolor=line)
    figure.update_yaxes(gridcolor=line, zerolinecolor=line, linecolor=line)
    # Inside a script element "</" would end it.
    return str(figure.to_json()).replace("</", "<\\/")
