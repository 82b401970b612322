"""The scenarios by name; one file each."""

from workloads.scenarios.scenario import Scenario
from workloads.scenarios.training import TRAINING

SCENARIOS: dict[str, Scenario] = {scenario.name: scenario for scenario in (TRAINING,)}
