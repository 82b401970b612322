"""What a scenario is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from workloads.plan.plan import Load, Objectives, Plan, Profile, Stage

PROFILES = ("quick", "full")


@dataclass(frozen=True)
class Level:
    """What a closed stage of a climb reached.

    Attributes:
        rate: successful calls/s.
        limited: whether the load generator was the limit, so that the server might serve more.
    """

    rate: float
    limited: bool


Measured = Callable[[], dict[int, Level]]
"""Returns the levels of the closed stages so far, by number of users."""


class Parameters(BaseModel):
    """A scenario's own parameters; each has a default and a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def one_stage(plan: Plan, measured: Measured) -> Iterator[Stage]:
    """One stage: a closed loop, or an open one where a rate is planned."""
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
    """Return numbers of users: `least`, doubled each time, and `most` at the end."""
    counts = []
    while least < most:
        counts.append(least)
        least *= 2
    return [*counts, most]


@dataclass(frozen=True)
class Scenario:
    """A kind of load with its profiles and objectives.

    Attributes:
        users: Locust user class as `module:class`; imported late, as Locust and mlflow take
            seconds to import.
        stages: yields the stages of a plan; later ones may depend on what was measured.
        set_up: function, named likewise, that makes what users need before the load.
        computes: users compute between calls: each has a process of its own, in a closed loop.
        breaks: faults follow on the last stage.
        users_each: users of a generator process; None: as many as delay each other little.
        steps: names of the users' steps, by the scenario's parameters.
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
    users_each: int | None = None
    steps: Callable[[Parameters], tuple[str, ...]] = lambda _: ()

    def parameters_of(self, profile: str) -> Parameters:
        """Return the scenario's own parameters in this profile."""
        return self.parameters.get(profile, Parameters())
