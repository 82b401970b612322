"""What a scenario is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from workloads.plan import Load, Objectives, Plan, Profile, Stage

Measured = Callable[[], dict[int, float]]
"""Gives the rate in calls/s by number of users of each closed stage so far."""


class Parameters(BaseModel):
    """A scenario's own parameters; each has a default and a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def one_stage(plan: Plan, measured: Measured) -> Iterator[Stage]:
    """Everything at once: closed, or open where a rate is planned."""
    profile = plan.profile
    opened = profile.rate is not None
    yield Stage(
        name=f"{profile.rate:g}/s" if opened else f"{profile.users} users",
        load=Load.OPEN if opened else Load.CLOSED,
        users=profile.users,
        rate=profile.rate,
        warm_up_s=profile.warm_up_s,
        load_s=profile.load_s,
    )


def levels(most: int, least: int = 1) -> list[int]:
    """Numbers of users from `least`, doubled each time, and `most` at the end."""
    found = []
    while least < most:
        found.append(least)
        least *= 2
    return [*found, most]


@dataclass(frozen=True)
class Scenario:
    """A kind of load with its profiles and objectives.

    `users` names the Locust user class as `module:class`; it is imported when it is run, since
    Locust and mlflow take seconds to import. `set_up` names a function in the same way: it makes
    what the users need, before the load, and gives what they have to know of it. `computes` says
    that users compute between calls; each then has a process of its own, and the load is closed.
    `breaks` says that faults follow on its last stage.
    """

    name: str
    summary: str
    users: str
    profiles: dict[str, Profile]
    objectives: dict[str, Objectives]
    stages: Callable[[Plan, Measured], Iterator[Stage]] = one_stage
    parameters: dict[str, Parameters] = field(default_factory=dict)
    set_up: str | None = None
    computes: bool = False
    can_be_open: bool = True
    breaks: bool = False

    def parameters_of(self, profile: str) -> Parameters:
        """Return the scenario's own parameters in this profile."""
        return self.parameters.get(profile, Parameters())
