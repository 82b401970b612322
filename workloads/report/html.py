"""The result as one HTML file that needs nothing else: no server, no network, no other file."""

import shlex
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from workloads.figures import ALL_CALLS
from workloads.history import Record
from workloads.report.plots import COLOURS, plots
from workloads.report.terminal import UNKNOWN, number
from workloads.result import Result

HERE = Path(__file__).parent


def render(result: Result, record: Record) -> str:
    """Render the report."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ms"] = number
    plan = result.plan
    return environment.get_template("report.html").render(
        result=result,
        plan=plan,
        calls=next(row for row in result.operations if row.name == ALL_CALLS),
        lost=sum(sets.lost for sets in result.durability.kinds.values()),
        kept=sum(sets.acknowledged for sets in result.durability.kinds.values()),
        unknown=UNKNOWN,
        repeat=shlex.join(
            f"python -m workloads run --stack {plan.target.stack} --scenario {plan.scenario} "
            f"--profile {plan.profile_name} --users {plan.profile.users} --seed {plan.seed}".split()
        ),
        plots=[
            {"name": p.name, "title": p.title, "caption": p.caption, "figure": Markup(p.figure)}  # noqa: S704
            for p in plots(record)
        ],
        colours={stand_in: f"--{variable}" for variable, stand_in in COLOURS.items()},
        style=_own("report.css"),
        script=_own("report.js"),
        plotly=Markup(get_plotlyjs()),  # noqa: S704
    )


def _own(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704
