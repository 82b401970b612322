"""What the options of `run` change of a scenario."""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import TypeVar

from pydantic import ValidationError

from workloads import CannotRunError
from workloads.plan.plan import Profile
from workloads.scenarios.scenario import Parameters, Scenario

T = TypeVar("T")


def named(kind: str, name: str, choices: Mapping[str, T]) -> T:
    """Return what has this name; raises `CannotRunError` with all names that there are."""
    if name not in choices:
        raise CannotRunError(f"unknown {kind} {name!r}: there are {', '.join(choices)}")
    return choices[name]


def profile_with(
    scenario: Scenario,
    name: str,
    users: int | None = None,
    rate: float | None = None,
    duration: str | None = None,
) -> Profile:
    """Return a scenario's profile with what the options change."""
    profile = named("profile", name, scenario.profiles)
    if rate is not None and not scenario.can_be_open:
        raise CannotRunError(f"--rate {rate:g}: {scenario.name} has no planned rate; leave it out")
    load_s = None if duration is None else seconds(duration)
    for option, value, least in (
        ("--users", users, 1),
        ("--rate", rate, 0.01),
        ("--duration", load_s, 1),
    ):
        if value is not None and not least <= value < float("inf"):
            raise CannotRunError(f"{option} {value:g}: give at least {least:g}")
    changes = {"users": users, "rate": rate, "load_s": load_s}
    return profile.model_copy(update={k: v for k, v in changes.items() if v is not None})


def seconds(text: str) -> float:
    """Read a time in Locust's own form, as `1h30m`, or in seconds, which may have a fraction."""
    with suppress(ValueError):
        return float(text)
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    if not text or match is None:
        raise CannotRunError(f"--duration {text}: give a time as 90s, 2m or 1h30m, or seconds")
    hours, minutes, secs = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + secs


def parameters_with(scenario: Scenario, profile: str, assignments: Iterable[str]) -> Parameters:
    """Return a scenario's parameters with those of `--set NAME=VALUE`."""
    defaults = scenario.parameters_of(profile)
    changes = {}
    for assignment in assignments:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise CannotRunError(f"--set {assignment}: give it as name=value")
        if name not in type(defaults).model_fields:
            names = ", ".join(type(defaults).model_fields) or "none"
            raise CannotRunError(f"--set {name}: {scenario.name} has the parameters: {names}")
        changes[name] = value
    try:
        return type(defaults).model_validate(defaults.model_dump() | changes)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        raise CannotRunError(f"--set {name}={changes.get(name)}: {first['msg']}") from None
