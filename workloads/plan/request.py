"""What a person asks for on the command line, before anything is decided."""

from dataclasses import dataclass, field
from typing import Any

from workloads.plan.plan import ClientRule, Profile
from workloads.scenarios.scenario import Parameters, Scenario


@dataclass(frozen=True)
class Request:
    """A run as it was asked for.

    Attributes:
        profile: with what the options change.
        parameters: likewise.
        faults: names of the catalogue.
        reconcile: whether duplicates are removed before the readback.
        objectives: those of the command line, see `limits`.
        fail_fast: whether the load ends once its verdict can only be bad.
        client_rule: release whose rule for sending creates again is emulated; None: the client's.
    """

    scenario: Scenario
    profile_name: str
    profile: Profile
    parameters: Parameters
    seed: int
    faults: tuple[str, ...] = ()
    reconcile: bool = False
    objectives: dict[str, Any] = field(default_factory=dict)
    fail_fast: bool = False
    client_rule: ClientRule | None = None
