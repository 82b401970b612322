"""People whose programs are traced, and who look at runs beside it."""

from collections.abc import Iterator
from typing import Any

from workloads.scenarios.traces import TRACE
from workloads.users.person import Activity, Person


class TracePerson(Person):
    """Someone who makes traces; subclasses say how, by `make_trace`.

    Nobody waits for a trace in an open load. In a closed one everybody does: the next one is made
    when the last one is sent, or nothing would ever be answered.
    """

    abstract = True

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.sizes: list[int] = list(self.parameters.get("spans") or (10,))
        self.span_bytes = int(self.parameters.get("span_bytes", 500))
        self.content = str(self.parameters.get("content", "text"))
        self._reads = 0.0

    def make_trace(self, spans: int) -> int:
        """Make a trace of so many spans; returns its number."""
        raise NotImplementedError

    def send_now(self) -> None:
        """Ask the client to send what it has, without waiting for more."""
        raise NotImplementedError

    def trace(self) -> None:
        """Make a trace, and in a closed load wait until it is sent."""
        exports, schedule = self.process.exports, self.process.schedule
        with self.session.step(TRACE):
            trace_id = self.make_trace(self.session.random.choice(self.sizes))
            if exports and schedule and not schedule.planned:
                self.send_now()
                if not exports.wait_for(trace_id, self.process.plan.profile.finish_s):
                    raise TimeoutError("the client did not send a trace in time")

    def reads_now(self) -> Iterator[None]:
        """Yield as often as metadata is to be read after a trace."""
        self._reads += float(self.parameters.get("reads", 0))
        while self._reads >= 1:
            self._reads -= 1
            yield


def trace_and_look(person: Person) -> Iterator[None]:
    """Make a trace; every few of them look at the experiment, or for its newest runs."""
    assert isinstance(person, TracePerson)
    client, experiment_id = person.client, person.session.experiment_id
    looks = 0
    while True:
        person.trace()
        for _ in person.reads_now():
            looks += 1
            if looks % 2:
                client.get_experiment(experiment_id)
            else:
                client.search_runs([experiment_id], max_results=20)
        yield


ACTIVITIES: dict[Activity, int] = {trace_and_look: 1}
