"""What a scenario is."""

from dataclasses import dataclass

from workloads.plan import Objectives, Profile


@dataclass(frozen=True)
class Scenario:
    """A kind of load with its profiles and objectives.

    `users` names the Locust user class as `module:class`; it is imported when it is run, since
    Locust and mlflow take seconds to import.
    """

    name: str
    summary: str
    users: str
    profiles: dict[str, Profile]
    objectives: dict[str, Objectives]
