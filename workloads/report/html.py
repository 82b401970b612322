"""The result as one HTML file that needs nothing else, but in a comparison the plotting script."""

import shlex
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from workloads.checkers import kinds
from workloads.history.record import Record
from workloads.plan import limits
from workloads.plan.plan import Plan
from workloads.report import script
from workloads.report.run_plots import COLOURS, Plot, plots
from workloads.report.script import Script
from workloads.report.terminal import UNKNOWN, number
from workloads.scenarios import SCENARIOS
from workloads.target.probe_paths import RATES
from workloads.verdict.figures import ALL_CALLS
from workloads.verdict.result import Gate, Result

HERE = Path(__file__).parent


def render(result: Result, record: Record, folder: Path) -> str:
    """Render the report as it is to lie in `folder`."""
    plan = result.plan
    judged = result.judged
    return page(
        HERE / "report.html",
        plots(record, result),
        script.of(folder),
        result=result,
        plan=plan,
        calls=next((row for row in result.operations if row.name == ALL_CALLS), None),
        lost=sum(sets.lost for sets in result.durability.kinds.values()),
        kept=sum(sets.acknowledged for sets in result.durability.kinds.values()),
        unknown=UNKNOWN,
        used=judged.observed if judged else None,
        bounded=judged.bounded if judged else False,
        gates=list(_gates(result)),
        planned=any(stage.calls.response_time for stage in result.stages),
        repeat=repeat(plan),
        rates=RATES,
        kinds=kinds.asked_for(result.plan.parameters),
    )


def page(template: Path, drawn: Iterable[Plot], plotly: Script, **values: Any) -> str:
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
        plotly=plotly,
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
    command += ["--fail-fast"] if plan.fail_fast else []
    own = SCENARIOS[plan.scenario].parameters_of(plan.profile_name).model_dump()
    for name, value in plan.parameters.items():
        if name not in own:  # made by the set-up
            continue
        shown = ",".join(map(str, value)) if isinstance(value, list | tuple) else value
        command += ["--set", f"{name}={shown}"]
    defaults = SCENARIOS[plan.scenario].objectives[plan.profile_name]
    for option in limits.options(plan.objectives, defaults):
        command += ["--objective", option]
    return shlex.join(command)


def _own(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704
