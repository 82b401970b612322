"""Agents that are traced, and those who judge what they say."""

from pydantic import Field

from workloads.plan.plan import Objectives, Profile
from workloads.scenarios.scenario import PROFILES, Parameters, Scenario

PROMPT, ANSWER, SESSION, RECORDS, LINKS = (
    "load a prompt by alias",
    "answer a question",
    "read a session",
    "merge evaluation records",
    "find the traces of a run",
)
"""Steps: each takes several calls, and fails if an answer is not the right one."""


class AgentsParameters(Parameters):
    """How long sessions and data sets are."""

    questions: int = Field(default=3, ge=1, le=100, description="questions of a session: traces")
    records: int = Field(default=10, ge=1, le=1000, description="records of an evaluation data set")


AGENTS = Scenario(
    name="agents",
    summary="agents with prompts and sessions, and their judges; closed, or open by --rate",
    users="workloads.users.agents:Agents",
    profiles={
        "quick": Profile(users=4, warm_up_s=4, load_s=15, finish_s=60),
        "full": Profile(users=16, warm_up_s=15, load_s=120, finish_s=60),
    },
    objectives=dict.fromkeys(PROFILES, Objectives(error_rate=0, p95_ms=1000, min_rate=5)),
    parameters=dict.fromkeys(PROFILES, AgentsParameters()),
    steps=lambda _: (PROMPT, ANSWER, SESSION, RECORDS, LINKS),
)
