"""Arguments of `python -m workloads run`, read and checked without a run."""

from typing import Any

import typer.main
from typer.core import TyperGroup

from workloads.commands.application import application
from workloads.commands.run_options import parameters_with, profile_with
from workloads.scenarios import SCENARIOS


def check(arguments: list[str]) -> dict[str, Any]:
    """The options by name; fails where the scenario refuses them."""
    commands = typer.main.get_command(application)
    assert isinstance(commands, TyperGroup)
    assert arguments[0] == "run"
    options = commands.commands["run"].make_context("run", arguments[1:]).params
    scenario = SCENARIOS[options["scenario"]]
    changes = {name: options[name] for name in ("users", "rate", "duration")}
    profile_with(scenario, options["profile"], **changes)
    parameters_with(scenario, options["profile"], options["assignments"] or [])
    assert bool(options["fault"]) == scenario.breaks
    return options
