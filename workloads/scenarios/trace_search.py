"""Searching among many traces, with answers that are known."""

from pydantic import Field

from workloads.filling.facts import LEAST_SPANS
from workloads.plan.plan import Objectives, Profile
from workloads.scenarios.scenario import Parameters, Scenario

LATEST = "latest traces"
BY_TIME = "traces by time and team"
BY_STATE = "traces by state"
BY_SESSION = "traces of a session"
BY_SPAN = "traces by span type, name and state"
SLOWEST = "slowest traces"
PAGES = "first two pages of traces"
DETAILS = "traces with their spans"
CHARTS = "charts of traces"
CORRELATION = "correlation of traces"
BY_ATTRIBUTE = "traces by span attribute"
BY_TEXT = "traces by text"
BY_WORD = "a trace by a rare word"
BY_ALL = "traces by all"

OF_CONTENT = (BY_ATTRIBUTE, BY_TEXT, BY_WORD, BY_ALL)
"""Steps that look into the contents of spans, which are in the database until they are archived."""


class TraceSearchParameters(Parameters):
    """What is searched."""

    traces: int = Field(default=300, ge=1, description="traces that are made before, and kept")
    spans: int = Field(default=10, ge=LEAST_SPANS, description="spans of each of them")
    archived: bool = Field(
        default=False,
        description="spans were archived: the server finds no text in them, and is not asked",
    )


def steps(parameters: Parameters) -> tuple[str, ...]:
    """Steps of a round, in order."""
    assert isinstance(parameters, TraceSearchParameters)
    always = (LATEST, BY_TIME, BY_STATE, BY_SESSION, BY_SPAN, SLOWEST, PAGES, DETAILS, CHARTS)
    return (*always, CORRELATION, *(() if parameters.archived else OF_CONTENT))


TRACE_SEARCH = Scenario(
    name="trace-search",
    summary="searches among many traces, with known answers; closed, or open by --rate",
    users="workloads.users.trace_searching:TraceSearcher",
    profiles={
        "quick": Profile(users=4, warm_up_s=4, load_s=15, finish_s=60),
        "full": Profile(users=8, warm_up_s=15, load_s=120, finish_s=60),
    },
    objectives={
        "quick": Objectives(error_rate=0, p95_ms=2000, min_rate=2),
        "full": Objectives(error_rate=0, p95_ms=5000, min_rate=1),
    },
    parameters={"quick": TraceSearchParameters(), "full": TraceSearchParameters(traces=2000)},
    set_up="workloads.users.trace_searching:make_traces",
    steps=steps,
)
