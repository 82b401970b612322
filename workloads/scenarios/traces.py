"""Traces of agents and applications, by MLflow's own client."""

from collections.abc import Iterator
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator

from workloads.plan.plan import Load, Objectives, OperationObjectives, Plan, Profile, Stage
from workloads.scenarios.capacity import climb
from workloads.scenarios.scenario import PROFILES, Measured, Parameters, Scenario, one_stage

TRACE = "trace"
"""The step that makes one; in a closed load with the wait until it is sent."""

READ = "read a trace"
"""The step of a team that reads one back; it is a wrong answer where spans are missing."""

READS_EACH = 4
"""One turn of traces in so many reads one, the others make one."""

USERS_EACH = 16
"""Users of a process: they share the client's exporter, as the threads of an application do."""


class TraceShape(Parameters):
    """What a trace is like."""

    spans: tuple[int, ...] = Field(
        default=(1, 10, 10, 10), description="spans of a trace, drawn from these, commas between"
    )
    span_bytes: int = Field(
        default=500, ge=0, le=16_000_000, description="bytes that each span carries"
    )

    @field_validator("spans", mode="before")
    @classmethod
    def _split_spans(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("spans")
    @classmethod
    def _some(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or min(value) < 1:
            raise ValueError("each trace has at least 1 span")
        return value


class TeamTraces(TraceShape):
    """Traces as a part of what a team does."""

    traces: float = Field(
        default=0,
        ge=0,
        le=0.9,
        description="share of the turns in which traces are made and read; 0: none",
    )


class TraceParameters(TraceShape):
    """What a trace is like, and what happens beside it."""

    content: Literal["text", "image"] = Field(
        default="text", description="what they are: text, or an image in base64"
    )
    reads: float = Field(
        default=1, ge=0, description="times that metadata is read beside each trace"
    )
    closed: bool = Field(
        default=False, description="a closed load: each user waits until a trace is sent"
    )
    climb: bool = Field(
        default=False, description="closed loads of 1, 2, 4 … users: the knee, and the bottleneck"
    )
    rates: tuple[float, ...] = Field(
        default=(), description="planned traces/s of stages, one after another, commas between"
    )

    @field_validator("rates", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return value.split(",") if isinstance(value, str) else value

    @field_validator("rates")
    @classmethod
    def _planned(cls, value: tuple[float, ...], info: ValidationInfo) -> tuple[float, ...]:
        if value and min(value) <= 0:
            raise ValueError("each rate is above 0")
        if value and (info.data.get("closed") or info.data.get("climb")):
            raise ValueError("a closed load has no planned rates: give closed, climb or rates")
        return value


class TracesParameters(TraceParameters):
    """The same, by a client that can pass a trace on."""

    services: int = Field(
        default=1, ge=1, description="services that a trace goes through, by HTTP headers"
    )
    export_queue: int = Field(
        default=1000, ge=1, description="export tasks that a client keeps; it drops more of them"
    )
    export_workers: int = Field(
        default=10, ge=1, description="export tasks that a client does at once"
    )


def team_steps(parameters: Parameters) -> tuple[str, ...]:
    """Names of a team's steps of traces; none without a share of them."""
    assert isinstance(parameters, TeamTraces)
    return (TRACE, READ) if parameters.traces else ()


def team_turns(share: float, others: int) -> tuple[int, int]:
    """Return how often a team sends traces and reads one, beside so many `others`."""
    if not share:
        return 0, 0
    number = max(2, round(others * share / (1 - share)))
    read = max(1, number // READS_EACH)
    return number - read, read


def rates(plan: Plan, measured: Measured) -> Iterator[Stage]:
    """One stage, or an open one for each of `rates`, of which the first is judged; or a climb.

    What gives out beyond it is what the others are to show.
    """
    profile = plan.profile
    wanted = plan.parameters.get("rates") or ()
    if plan.parameters.get("climb"):
        yield from climb(plan, measured)
    elif plan.parameters.get("closed"):
        closed = plan.model_copy(update={"profile": profile.model_copy(update={"rate": None})})
        yield from one_stage(closed, measured)
    elif not wanted:
        yield from one_stage(plan, measured)
    for number, rate in enumerate(wanted):
        yield Stage(
            name=f"{rate:g}/s",
            load=Load.OPEN,
            users=profile.users,
            rate=rate,
            warm_up_s=profile.warm_up_s,
            load_s=profile.load_s,
            judged=not number,
        )


METADATA = {
    "GET experiments/get": OperationObjectives(p95_ms=500),
    "POST runs/search": OperationObjectives(p95_ms=500),
}
"""Of those who look at runs meanwhile: ingestion must not stall them."""

OBJECTIVES = dict.fromkeys(
    PROFILES, Objectives(error_rate=0, p95_ms=1000, min_rate=1, operations=METADATA)
)

PROFILES_OF_TRACES = {
    "quick": Profile(users=32, rate=5, warm_up_s=6, load_s=15, finish_s=60),
    "full": Profile(users=50, rate=20, warm_up_s=15, load_s=120, finish_s=60),
}

TRACES = Scenario(
    name="traces",
    summary="traces by MLflow's client and its asynchronous exporter, and metadata read; open",
    users="workloads.users.tracing:Tracing",
    profiles=PROFILES_OF_TRACES,
    objectives=OBJECTIVES,
    stages=rates,
    parameters=dict.fromkeys(PROFILES, TracesParameters()),
    users_each=USERS_EACH,
    steps=lambda _: (TRACE,),
)
