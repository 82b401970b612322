"""The result as one HTML file that needs nothing else: no server, no network, no other file."""

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]

from workloads.figures import ALL_CALLS
from workloads.plan import Plan
from workloads.record import Record
from workloads.report.plots import COLOURS, Plot, plots
from workloads.report.terminal import UNKNOWN, number
from workloads.result import Gate, Result
from workloads.scenarios import SCENARIOS

HERE = Path(__file__).parent


def render(result: Result, record: Record) -> str:
    """Render the report."""
    plan = result.plan
    return page(
        HERE / "report.html",
        plots(record, result),
        result=result,
        plan=plan,
        calls=next((row for row in result.operations if row.name == ALL_CALLS), None),
        lost=sum(sets.lost for sets in result.durability.kinds.values()),
        kept=sum(sets.acknowledged for sets in result.durability.kinds.values()),
        unknown=UNKNOWN,
        used=next((s.observed for s in result.stages if s.stage.name == result.judged_stage), None),
        gates=list(_gates(result)),
        planned=any(stage.calls.intended for stage in result.stages),
        repeat=repeat(plan),
    )


def page(template: Path, drawn: Iterable[Plot], **values: Any) -> str:
    """Render a template with these plots, and with the style and scripts that all pages share."""
    environment = Environment(
        loader=FileSystemLoader([template.parent, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["ms"] = number
    return environment.get_template(template.name).render(
        plots=[
            {"name": p.name, "title": p.title, "caption": p.caption, "figure": Markup(p.figure)}  # noqa: S704
            for p in drawn
        ],
        colours={stand_in: f"--{variable}" for variable, stand_in in COLOURS.items()},
        style=_own("report.css"),
        script=_own("report.js"),
        plotly=Markup(get_plotlyjs()),  # noqa: S704
        **values,
    )


def _gates(result: Result) -> Iterator[tuple[str, Gate]]:
    """Yield gates with what they are of: the run's and the judged stage's all, else what failed."""
    yield from (("", gate) for gate in result.gates)
    if result.resilience:
        yield from (("", gate) for gate in result.resilience.gates)
    for stage in result.stages:
        where = f"{stage.stage.name}: " if len(result.stages) > 1 else ""
        judged = stage.stage.name == result.judged_stage
        yield from ((where, gate) for gate in stage.gates if judged or gate.passed is not True)


def repeat(plan: Plan) -> str:
    """Return the command that does the same run again."""
    subject = ["--stack", plan.target.stack] if plan.target else ["--url", plan.tracking_uri]
    command = ["python", "-m", "workloads", "run", *subject, "--scenario", plan.scenario]
    command += ["--profile", plan.profile_name, "--users", str(plan.profile.users)]
    if plan.profile.rate is not None:
        command += ["--rate", f"{plan.profile.rate:g}"]
    if plan.faults:
        command += ["--fault", ",".join(plan.faults)]
    command += ["--duration", f"{plan.profile.load_s:g}", "--seed", str(plan.seed)]
    own = SCENARIOS[plan.scenario].parameters_of(plan.profile_name).model_dump()
    for name, value in plan.parameters.items():
        if name not in own:  # made by the set-up
            continue
        shown = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        command += ["--set", f"{name}={shown}"]
    return shlex.join(command)


def _own(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704
