"""Traces of programs without MLflow's client, by OpenTelemetry's SDK and exporter."""

from workloads.scenarios.scenario import PROFILES, Scenario
from workloads.scenarios.traces import (
    OBJECTIVES,
    PROFILES_OF_TRACES,
    TRACE,
    USERS_EACH,
    TraceParameters,
    rates,
)

RETRIED_RATE = 0.25
"""The SDK sends every 5 s, and that is when uvicorn closes an idle connection."""

OTLP = Scenario(
    name="otlp",
    summary="traces by OpenTelemetry's SDK to /v1/traces, in batches, and metadata read; open",
    users="workloads.users.telemetry:Telemetry",
    profiles=PROFILES_OF_TRACES,
    objectives={
        name: aims.model_copy(update={"retried_rate": RETRIED_RATE})
        for name, aims in OBJECTIVES.items()
    },
    stages=rates,
    parameters=dict.fromkeys(PROFILES, TraceParameters()),
    users_each=USERS_EACH,
    steps=lambda _: (TRACE,),
)
