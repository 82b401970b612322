"""The scenarios by name; one file each."""

from workloads.scenarios.burst import BURST
from workloads.scenarios.capacity import CAPACITY
from workloads.scenarios.latency import LATENCY
from workloads.scenarios.metrics import METRICS
from workloads.scenarios.scenario import Scenario
from workloads.scenarios.training import TRAINING

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario for scenario in (TRAINING, METRICS, CAPACITY, LATENCY, BURST)
}
