"""Traces of a team: some make them, some read those that were made."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from workloads.scenarios.traces import READ, team_turns
from workloads.users.person import Activity, Person
from workloads.users.tracing import Tracing

REMEMBERED = 100
"""Newest traces that are read again."""


@dataclass(frozen=True)
class Made:
    """A trace as it was made."""

    number: int
    spans: int

    @property
    def id(self) -> str:
        """Its name at MLflow."""
        return f"tr-{self.number:032x}"


MADE: deque[Made] = deque(maxlen=REMEMBERED)
"""Of this process: each is forked with none."""


class TracingMember(Tracing):
    """Someone of a team that has a share of traces among what it does, or none."""

    abstract = True

    @property
    def makes_traces(self) -> bool:
        """Whether there are any in this run."""
        return float(self.parameters.get("traces", 0)) > 0

    def make_trace(self, spans: int) -> int:
        """Make a trace and remember it."""
        number = super().make_trace(spans)
        MADE.append(Made(number, spans))
        return number


def send_traces(person: Person) -> Iterator[None]:
    """Make a trace each time; in a closed load wait until it is sent."""
    assert isinstance(person, TracingMember)
    while True:
        person.trace()
        yield


def read_traces(person: Person) -> Iterator[None]:
    """Read a trace of which all was acknowledged, or make one where there is none."""
    assert isinstance(person, TracingMember)
    exports = person.process.exports
    while True:
        there = [made for made in MADE if exports and exports.arrived(made.number)]
        if not there:
            person.trace()
            yield
            continue
        made = person.session.random.choice(there)
        with person.session.step(READ):
            found = person.client.get_trace(made.id)
            if len(found.data.spans) != made.spans:
                raise AssertionError(
                    f"{made.id}: {len(found.data.spans)} spans were read, and {made.spans} were "
                    "acknowledged"
                )
        yield


def cards(share: float, others: int) -> dict[Activity, int]:
    """Return how often traces are sent and read beside so many `others`, for a share of all."""
    sent, read = team_turns(share, others)
    return {send_traces: sent, read_traces: read} if share else {}
