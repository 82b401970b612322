"""The comparison's figures; each has its values in the table, too."""

from collections.abc import Iterator

import plotly.graph_objects as go  # type: ignore[import-untyped]

from workloads.comparison.paired import Scale
from workloads.comparison.table import Cell, Comparison, Row, how_far
from workloads.report.run_plots import COLOURS, LINES, Plot, as_json

SYMBOLS = ("circle", "square", "diamond", "cross", "x")
MOST = 100.0
"""Where the line of an interval ends that has no end, in times."""

RATIO_TICKS = [0.1, 0.2, 0.33, 0.5, 0.7, 1, 1.4, 2, 3, 5, 10]


def plots(comparison: Comparison) -> list[Plot]:
    """All figures that there is something to draw for."""
    return [*_deployment(comparison), *_load(comparison), *_ratios(comparison)]


def _deployment(comparison: Comparison) -> Iterator[Plot]:
    rows = [row for row in comparison.rows if row.quantity.part == "deployment"]
    if rows:
        yield Plot(
            name="deployment",
            title="Time to deploy and to remove",
            caption="Seconds from images that are present; the mean of each stack over the blocks.",
            figure=_bars(comparison, rows, "s"),
        )


def _load(comparison: Comparison) -> Iterator[Plot]:
    parts = dict.fromkeys(row.quantity.part for row in comparison.rows)
    for number, part in enumerate(part for part in parts if part.startswith("metrics")):
        rows = {row.quantity.name: row for row in comparison.rows if row.quantity.part == part}
        if "calls" not in rows or "p95" not in rows:
            continue
        figure = go.Figure()
        figure.add_bar(
            x=_names(rows["calls"]),
            y=[round(cell.value, 1) for cell in rows["calls"].cells.values()],
            name="calls per second",
            marker={"color": COLOURS["accent"], "line": {"width": 0}},
            hovertemplate="%{x}: %{y:.1f} calls/s<extra></extra>",
        )
        figure.add_scatter(
            x=_names(rows["p95"]),
            y=[round(cell.value, 1) for cell in rows["p95"].cells.values()],
            mode="markers",
            name="p95, right axis",
            yaxis="y2",
            marker={"color": COLOURS["accent-2"], "size": 12, "symbol": "diamond"},
            hovertemplate="%{x}: p95 %{y:.0f} ms<extra></extra>",
        )
        figure.update_yaxes(title="calls per second", rangemode="tozero")
        figure.update_layout(
            bargap=0.5,
            yaxis2={"title": "ms", "overlaying": "y", "side": "right", "rangemode": "tozero"},
        )
        yield Plot(
            name=f"load-{number}",
            title=f"Throughput and latency at equal load: {part}",
            caption="Users who call again as soon as they are answered. More calls per second and "
            "a lower p95 are better. *: invalid.",
            figure=as_json(figure, "", right=64),
        )


def _ratios(comparison: Comparison) -> Iterator[Plot]:
    """A forest plot: every figure of every stack as a multiple of the baseline's."""
    saved = comparison.saved
    others = saved.stacks[1:]
    rows = [row for row in comparison.rows if any(map(_has_ratio, row.cells.values()))]
    if not rows:
        return
    figure = go.Figure()
    for number, stack in enumerate(others):
        points = [
            (row, cell.contrast, cell.distinct)
            for row in rows
            if (cell := row.cells.get(stack)) and cell.contrast and _has_ratio(cell)
        ]
        figure.add_scatter(
            x=[round(contrast.value, 4) for _, contrast, _ in points],
            y=[_label(row) for row, _, _ in points],
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [
                    max(0, min(contrast.high, MOST) - contrast.value) for _, contrast, _ in points
                ],
                "arrayminus": [
                    max(0, contrast.value - max(contrast.low, 1 / MOST))
                    for _, contrast, _ in points
                ],
                "thickness": 1.5,
            },
            mode="markers",
            name=stack,
            marker={
                "color": LINES[number % len(LINES)],
                "size": 10,
                "symbol": [
                    SYMBOLS[number % len(SYMBOLS)] + ("" if distinct else "-open")
                    for _, _, distinct in points
                ],
            },
            text=[how_far(contrast, "") for _, contrast, _ in points],
            hovertemplate="%{y}: %{text}<extra>" + stack + "</extra>",
        )
    figure.add_vline(x=1, line={"color": COLOURS["text"], "width": 1, "dash": "dot"})
    figure.update_xaxes(type="log", tickvals=RATIO_TICKS, ticktext=[f"{t:g}" for t in RATIO_TICKS])
    figure.update_yaxes(
        categoryorder="array",
        categoryarray=[_label(row) for row in reversed(rows)],
        automargin=True,
        dtick=1,
    )
    figure.update_layout(height=150 + 26 * len(rows))
    yield Plot(
        name="ratios",
        title=f"Each stack beside {saved.baseline}",
        caption=f"Times what {saved.baseline} has in the same block; lines: 95 % intervals. "
        "↑: more is better; ↓: less is. Hollow: not distinguishable.",
        figure=as_json(figure, "times, logarithmic"),
    )


def _has_ratio(cell: Cell) -> bool:
    """Whether a point of it can be drawn: a difference is in the table only."""
    return cell.contrast is not None and cell.contrast.scale is Scale.RATIO


def _names(row: Row) -> list[str]:
    """Names of the stacks that have a figure, with the table's marks."""
    return [
        stack
        + f" {cell.bound}" * bool(cell.bound)
        + " †" * cell.elsewhere
        + " *" * (not cell.valid)
        for stack, cell in row.cells.items()
    ]


def _label(row: Row) -> str:
    quantity = row.quantity
    return f"{quantity.part}: {quantity.name} {'↑' if quantity.more_is_better else '↓'}"


def _bars(comparison: Comparison, rows: list[Row], unit: str) -> str:
    figure = go.Figure()
    for number, row in enumerate(rows):
        figure.add_bar(
            x=_names(row),
            y=[round(cell.value, 2) for cell in row.cells.values()],
            name=row.quantity.name,
            marker={"color": LINES[number % len(LINES)], "line": {"width": 0}},
            hovertemplate=f"%{{x}}, {row.quantity.name}: %{{y:.1f}} {unit}<extra></extra>",
        )
    figure.update_xaxes(categoryorder="array", categoryarray=comparison.saved.stacks)
    figure.update_yaxes(title=unit, rangemode="tozero")
    figure.update_layout(barmode="group", bargap=0.25)
    return as_json(figure, "")
