"""The scenarios by name; one file each."""

from workloads.scenarios.agents import AGENTS
from workloads.scenarios.artifacts import ARTIFACTS
from workloads.scenarios.burst import BURST
from workloads.scenarios.capacity import CAPACITY
from workloads.scenarios.latency import LATENCY
from workloads.scenarios.metrics import METRICS
from workloads.scenarios.mixed import MIXED
from workloads.scenarios.otlp import OTLP
from workloads.scenarios.registry import REGISTRY
from workloads.scenarios.resilience import RESILIENCE
from workloads.scenarios.scenario import Scenario
from workloads.scenarios.search import SEARCH
from workloads.scenarios.trace_search import TRACE_SEARCH
from workloads.scenarios.traces import TRACES
from workloads.scenarios.training import TRAINING

SCENARIOS: dict[str, Scenario] = {
    scenario.name: scenario
    for scenario in (
        TRAINING,
        METRICS,
        CAPACITY,
        LATENCY,
        BURST,
        SEARCH,
        TRACE_SEARCH,
        REGISTRY,
        ARTIFACTS,
        MIXED,
        AGENTS,
        TRACES,
        OTLP,
        RESILIENCE,
    )
}
