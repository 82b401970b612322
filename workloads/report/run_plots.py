"""The report's figures, from the raw record and what was found in it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go  # type: ignore[import-untyped]
from numpy.typing import NDArray

from workloads.checkers import outages
from workloads.history.record import NEVER, Record, Rows, Window, durations_ms
from workloads.plan.plan import Load
from workloads.target.probe_paths import RATES
from workloads.verdict.figures import timed, waits_ms
from workloads.verdict.result import Fit, Knee, Result
from workloads.verdict.saturation import curve

COLOURS = {
    "text": "#1c2430",
    "muted": "#5b6778",
    "line": "#dde2e9",
    "panel": "#ffffff",
    "accent": "#2b6cb0",
    "accent-2": "#c05621",
    "accent-3": "#2f855a",
    "accent-4": "#805ad5",
    "accent-5": "#b83280",
    "accent-6": "#8a6d00",
    "bad": "#b3261e",
}
"""Stand-ins by CSS variable: plotly wants real colours, the page's script puts in its own."""

LINES = [COLOURS[name] for name in COLOURS if name.startswith("accent")]
SYMBOLS = ("circle", "square", "diamond", "cross")
DASHES = ("solid", "dash", "dot", "dashdot")

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


def plots(record: Record, result: Result) -> list[Plot]:
    """All figures of a run; none if nothing was measured."""
    calls = record.of_type(record.operations, "call")
    calls = calls[calls["completed"] != NEVER]
    if not record.windows or not len(timed(calls)):
        return []
    judged = [w for w in record.windows if w.stage.name == result.judged_stage]
    return [
        *_capacity(result),
        *_planned(record),
        _latency(record, calls),
        *_probes(record),
        _throughput(record, calls),
        *(_distribution(record, window) for window in judged),
        _percentiles(record),
        *_sizes(result),
        *_components(record),
    ]


def _seconds(record: Record, ns: Any) -> Any:
    return (ns - record.windows[0].begin_ns) / 1e9


def _by_second(record: Record, calls: Rows) -> dict[int, Rows]:
    if not len(calls):
        return {}
    seconds = np.floor(_seconds(record, calls["completed"])).astype(int)
    order = np.argsort(seconds, kind="stable")
    calls, seconds = calls[order], seconds[order]
    present, starts = np.unique(seconds, return_index=True)
    return dict(zip(present.tolist(), np.split(calls, starts[1:]), strict=True))


def _capacity(result: Result) -> Iterator[Plot]:
    """Throughput and latency against users."""
    climb = [stage for stage in result.stages if stage.stage.load is Load.CLOSED]
    if result.capacity is None:
        return
    knee, fit = result.capacity.knee, result.capacity.fit
    figure = go.Figure()
    for validity, colour, symbol, name in (
        ("yes", "accent", "circle", "measured"),
        ("bound", "muted", "triangle-up", "at least: the generator was the limit"),
        ("no", "bad", "x", "invalid"),
    ):
        shown = [stage for stage in climb if stage.validity == validity]
        if shown:
            figure.add_scatter(
                x=[stage.stage.users for stage in shown],
                y=[round(stage.calls.rate, 2) for stage in shown],
                mode="markers",
                name=name,
                marker={"color": COLOURS[colour], "size": 9},
                marker_symbol=symbol,
                hovertemplate="%{x} users: %{y:.1f} calls/s<extra></extra>",
            )
    if fit:
        users = np.geomspace(fit.min_users, fit.max_users, 80)
        figure.add_scatter(
            x=users.round(3).tolist(),
            y=curve(fit, users).round(3).tolist(),
            mode="lines",
            name="Universal Scalability Law",
            line={"color": COLOURS["muted"], "width": 2, "dash": "dash"},
            hoverinfo="skip",
        )
    figure.add_scatter(
        x=[stage.stage.users for stage in climb],
        y=[_round(stage.calls.p95_ms) for stage in climb],
        mode="lines+markers",
        name="p95, right axis",
        yaxis="y2",
        line={"color": COLOURS["accent-2"], "width": 2, "dash": "dot"},
        marker={"symbol": "square", "size": 6},
        hovertemplate="%{x} users: p95 %{y:.0f} ms<extra></extra>",
    )
    if knee.users:
        figure.add_vline(x=knee.users, line={"color": COLOURS["text"], "width": 1, "dash": "dot"})
    figure.update_xaxes(type="log", tickvals=[stage.stage.users for stage in climb])
    figure.update_yaxes(title="calls per second", rangemode="tozero")
    figure.update_layout(
        yaxis2={"title": "ms", "overlaying": "y", "side": "right", "rangemode": "tozero"}
    )
    yield Plot(
        name="capacity",
        title="Throughput against users",
        caption=f"{_knee(knee)} {_law(fit)}",
        figure=as_json(figure, "users at once, logarithmic", right=64),
    )


def _knee(knee: Knee) -> str:
    if knee.users is None:
        return "No stage counts, so there is no knee."
    if knee.reached:
        return f"The dotted line is the knee: {knee.users} users have 95 % of the best rate."
    return f"No knee up to {knee.users} users: the best rate is that of the most users."


def _law(fit: Fit | None) -> str:
    if fit is None:
        return "No law is fitted: that takes six stages that count."
    return (
        f"Fitted law: {fit.rate_of_one:.1f} calls/s alone, contention {fit.contention:.3f}, "
        f"coherency {fit.coherency:.5f}; at most {fit.worst_error:.0%} away from a point. It is "
        "drawn over what was measured, and says nothing beyond."
    )


def _planned(record: Record) -> Iterator[Plot]:
    """Response time and service time of open stages."""
    opened = [w for w in record.windows if w.stage.load is Load.OPEN]
    if not opened:
        return
    figure = go.Figure()
    ways: tuple[tuple[str, str, str, Callable[[Rows], NDArray[np.float64]]], ...] = (
        ("response time", "accent-2", "solid", waits_ms),
        ("service time", "accent", "dash", durations_ms),
    )
    for name, colour, dash, measure in ways:
        for percentile, width in ((50, 1.5), (95, 3)):
            rows = [timed(record.of_type(record.within(w), "call")) for w in opened]
            figure.add_scatter(
                x=[w.stage.rate for w in opened],
                y=[_percentile(measure(r), percentile) for r in rows],
                mode="lines+markers",
                name=f"p{percentile} {name}",
                line={"color": COLOURS[colour], "width": width, "dash": dash},
                hovertemplate="%{x:.1f}/s: %{y:.1f} ms<extra></extra>",
            )
    figure.update_yaxes(title="ms, logarithmic", type="log", tickvals=TICKS)
    yield Plot(
        name="planned",
        title="Latency against planned rate",
        caption="Response time: from the planned time on, with the wait for a free user. Service "
        "time: from sending to the answer. Each point is a stage.",
        figure=as_json(figure, "planned calls per second"),
    )


def _latency(record: Record, calls: Rows) -> Plot:
    good = timed(calls)
    shown = good[:: len(good) // MOST_POINTS + 1]
    figure = go.Figure()
    figure.add_scatter(
        x=_seconds(record, shown["completed"]).round(3).tolist(),
        y=durations_ms(shown).round(2).tolist(),
        text=[record.names[name][1] for name in shown["name"]],
        mode="markers",
        name="one call",
        marker={"color": COLOURS["muted"], "size": 4, "opacity": 0.45},
        hovertemplate="%{text}<br>%{y:.1f} ms<extra></extra>",
    )
    seconds = _by_second(record, good)
    for percentile, colour in ((50, COLOURS["accent"]), (95, COLOURS["accent-2"])):
        figure.add_scatter(
            x=[second + 0.5 for second in seconds],
            y=[_percentile(durations_ms(group), percentile) for group in seconds.values()],
            mode="lines",
            name=f"p{percentile} of each second",
            line={"color": colour, "width": 2.5},
            hovertemplate=f"p{percentile} %{{y:.1f}} ms<extra></extra>",
        )
    bad = calls[~calls["ok"]][:MOST_POINTS]
    if len(bad):
        figure.add_scatter(
            x=_seconds(record, bad["completed"]).round(3).tolist(),
            y=durations_ms(bad).round(2).tolist(),
            text=[record.names[name][1] for name in bad["name"]],
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
        figure=as_json(figure, "seconds since the load began"),
    )


def _probes(record: Record) -> Iterator[Plot]:
    """Every probe of a run with faults, by path and by when it was sent."""
    probes = outages.probes(record)
    if not probes:
        return
    figure = go.Figure()
    for number, (path, own) in enumerate(probes.items()):
        for good, symbol in ((True, SYMBOLS[number % len(SYMBOLS)]), (False, "x")):
            shown = [look for look in own.sent_probes if (look.error is None) is good]
            if not shown:
                continue
            figure.add_scatter(
                x=[round(float(_seconds(record, look.sent)), 3) for look in shown],
                y=[look.ms for look in shown],
                text=[look.error or "" for look in shown],
                mode="markers",
                name=path.value if good else f"{path}, not answered",
                marker={
                    "color": LINES[number % len(LINES)] if good else COLOURS["bad"],
                    "size": 5,
                    "symbol": symbol,
                },
                hovertemplate=f"{path} %{{text}}<br>%{{y:.1f}} ms<extra></extra>",
            )
    _phases(figure, record)
    figure.update_yaxes(title="ms, logarithmic", type="log", tickvals=TICKS)
    apart = ", ".join(f"{path} {1 / RATES[path]:g} s" for path in probes)
    yield Plot(
        name="probes",
        title="Probes over time",
        caption="Probes of each path, without retries, by the time they were sent. Interval, and "
        f"so the resolution of an outage: {apart}. Faults are shaded from injection to healing.",
        figure=as_json(figure, "seconds since the load began"),
    )


def _throughput(record: Record, calls: Rows) -> Plot:
    figure = go.Figure()
    seconds = _by_second(record, calls)
    span = range(min(seconds), max(seconds) + 1)
    for name, colour, good in (("answered", "accent", True), ("failed", "bad", False)):
        counts = [int((seconds[s]["ok"] == good).sum()) if s in seconds else 0 for s in span]
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
        figure=as_json(figure, "seconds since the load began"),
    )


def _distribution(record: Record, window: Window) -> Plot:
    groups = [
        (type_ == "step", name, durations_ms(timed(rows)))
        for type_, name, rows in record.by_name(record.within(window))
        if len(timed(rows))
    ]
    ordered = sorted(groups, key=lambda group: float(np.median(group[2])))
    figure = go.Figure()
    for step, colour in ((False, COLOURS["accent"]), (True, COLOURS["accent-2"])):
        rows = [(name, values) for is_step, name, values in ordered if is_step is step]
        if not rows:
            continue
        low, q1, middle, q3, high = ([_percentile(values, p) for _, values in rows] for p in BOX)
        figure.add_box(
            y=[name for name, _ in rows],
            lowerfence=low,
            q1=q1,
            median=middle,
            q3=q3,
            upperfence=high,
            orientation="h",
            name="whole step" if step else "API call",
            line={"color": colour, "width": 1.5},
            fillcolor=COLOURS["panel"],
            hoverinfo="x",
        )
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[name for _, name, _ in ordered],
        automargin=True,
        dtick=1,
    )
    figure.update_layout(boxmode="overlay", height=130 + 26 * len(ordered))
    of = f" Of the stage {window.stage.name}." if len(record.windows) > 1 else ""
    computing = " Steps contain the client's own computing." if record.plan.computes else ""
    return Plot(
        name="distribution",
        title="Latency by operation",
        caption="Box: the middle half with its median; whiskers: 5th and 95th percentile."
        f"{computing}{of}",
        figure=as_json(figure, "ms, logarithmic", log=True),
    )


def _percentiles(record: Record) -> Plot:
    """Latency by percentile, the tail stretched as HdrHistogram's plots do."""
    figure = go.Figure()
    for number, window in enumerate(record.windows):
        rows = timed(record.of_type(record.within(window), "call"))
        values = np.sort(waits_ms(rows) if window.stage.load is Load.OPEN else durations_ms(rows))
        if not len(values):
            continue
        beyond = np.geomspace(1, min(1.0, 1 / len(values)), 100)
        figure.add_scatter(
            x=(1 / beyond).round(4).tolist(),
            y=np.quantile(values, 1 - beyond).round(2).tolist(),
            mode="lines",
            name=window.stage.name,
            line={
                "color": LINES[number % len(LINES)],
                "dash": DASHES[number // len(LINES) % len(DASHES)],
                "width": 2,
            },
            hovertemplate="%{y:.1f} ms<extra></extra>",
        )
    shares = [0, 50, 90, 99, 99.9, 99.99]
    figure.update_xaxes(
        type="log",
        tickvals=[100 / (100 - share) for share in shares],
        ticktext=[f"{share:g} %" for share in shares],
    )
    figure.update_yaxes(title="ms, logarithmic", type="log", tickvals=TICKS)
    return Plot(
        name="percentiles",
        title="Latency as a distribution",
        caption="Share of the API calls that were answered within a time. Of an open load, the "
        "response time.",
        figure=as_json(figure, "share of the calls"),
    )


def _sizes(result: Result) -> Iterator[Plot]:
    """Throughput of artifacts by their size."""
    moved = [row for row in result.operations if row.size_bytes and row.mib_per_s]
    if not moved:
        return
    figure = go.Figure()
    for number, way in enumerate(sorted({row.name.split()[0] for row in moved})):
        rows = sorted(
            (row for row in moved if row.name.split()[0] == way),
            key=lambda row: row.size_bytes or 0,
        )
        figure.add_scatter(
            x=[(row.size_bytes or 0) / 2**20 for row in rows],
            y=[_round(row.mib_per_s) for row in rows],
            mode="lines+markers",
            name=way,
            line={"color": LINES[number % len(LINES)], "dash": DASHES[number % len(DASHES)]},
            hovertemplate="%{x:g} MiB: %{y:.1f} MiB/s<extra></extra>",
        )
    figure.update_xaxes(type="log")
    figure.update_yaxes(title="MiB per second", rangemode="tozero")
    yield Plot(
        name="artifacts",
        title="Artifacts by size",
        caption="MiB/s of the median artifact of each size, one user at it.",
        figure=as_json(figure, "MiB of an artifact, logarithmic"),
    )


def _components(record: Record) -> Iterator[Plot]:
    """CPU and memory of each component over time."""
    looks = [look for look in record.other.get("observe", []) if look["components"]]
    if len(looks) < 2:
        return
    names = sorted({name for look in looks for name in look["components"]})
    for what, title, unit in (
        ("cpu_s", "CPU of the components over time", "cores in use"),
        ("memory", "Memory of the components over time", "MiB"),
    ):
        figure = go.Figure()
        for number, name in enumerate(names):
            seen = [look for look in looks if name in look["components"]]
            times = np.array([_seconds(record, look["mono_ns"]) for look in seen])
            values = np.array([look["components"][name][what] for look in seen], dtype=float)
            if what == "cpu_s":
                at = np.array([look["components"][name]["at"] for look in seen])
                moved = np.diff(at) > 0  # a look may find the figures of the one before
                values, times = np.diff(values)[moved] / np.diff(at)[moved], times[1:][moved]
            else:
                values = values / 2**20
            every = len(times) // MOST_POINTS + 1
            figure.add_scatter(
                x=times[::every].round(2).tolist(),
                y=values[::every].round(3).tolist(),
                mode="lines",
                name=name,
                line={
                    "color": LINES[number % len(LINES)],
                    "dash": DASHES[number % len(DASHES)],
                    "width": 2,
                },
                hovertemplate=f"{name} %{{y:.2f}} {unit}<extra></extra>",
            )
        _phases(figure, record)
        figure.update_yaxes(title=unit, rangemode="tozero")
        yield Plot(
            name="cpu" if what == "cpu_s" else "memory",
            title=title,
            caption="Looked at once a second. The throughput over the same time is above."
            + ("" if what == "cpu_s" else " Without file pages that can be dropped."),
            figure=as_json(figure, "seconds since the load began"),
        )


def _percentile(values: NDArray[np.float64], percentile: int) -> float | None:
    return round(float(np.percentile(values, percentile)), 2) if len(values) else None


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def _phases(figure: Any, record: Record) -> None:
    """Shade the warm-ups and faults, and name them and the stages where there are several."""
    for name, begin, end in _faults(record):
        figure.add_vrect(x0=begin, x1=end, fillcolor=COLOURS["bad"], opacity=0.16, line_width=0)
        _name(figure, begin, name)
    for window in record.windows:
        begin = float(_seconds(record, window.begin_ns))
        figure.add_vrect(
            x0=float(_seconds(record, window.warm_up_ns)),
            x1=begin,
            fillcolor=COLOURS["muted"],
            opacity=0.14,
            line_width=0,
        )
        if len(record.windows) > 1:
            _name(figure, begin, window.stage.name.removeprefix("climb, "))


def _faults(record: Record) -> Iterator[tuple[str, float, float]]:
    """Faults with the begin of their injection and the end of their healing, in s."""
    begun: dict[str, Any] | None = None
    for line in record.other.get("fault", []):
        if line["state"] == "injecting":
            begun = line
        elif line["state"] in ("healed", "failed") and begun:
            at = (begun["mono_ns"], line["mono_ns"])
            yield begun["fault"], *(float(_seconds(record, ns)) for ns in at)
            begun = None


def _name(figure: Any, x: float, text: str) -> None:
    figure.add_annotation(
        x=x,
        y=1,
        yref="paper",
        text=text,
        textangle=-90,
        showarrow=False,
        xanchor="left",
        yanchor="top",
        font={"size": 10, "color": COLOURS["muted"]},
    )


def as_json(figure: Any, x_title: str, *, log: bool = False, right: int = 12) -> str:
    """Dress a figure for the page, and return it as JSON for its script."""
    line = COLOURS["line"]
    figure.update_xaxes(title=x_title)
    if log:
        figure.update_xaxes(type="log", tickvals=TICKS)
    figure.update_layout(
        template="none",
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"color": COLOURS["text"], "family": "system-ui, sans-serif", "size": 13},
        margin={"l": 64, "r": right, "t": 8, "b": 48},
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
