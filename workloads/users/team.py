"""A whole team: most log, some look around, store files, register models, trace or tidy up."""

from collections.abc import Iterator
from typing import ClassVar

from workloads.users.artifact_files import store_files
from workloads.users.model_registry import register_models
from workloads.users.person import Activity, Person
from workloads.users.team_traces import TracingMember, cards
from workloads.users.tidying import tidy_up
from workloads.users.tracking import log_runs


def look_around(person: Person) -> Iterator[None]:
    """What the web interface asks for: experiments, the newest runs, one of them, its curve."""
    session, client = person.session, person.client
    while True:
        client.get_experiment(session.experiment_id)
        yield
        page = client.search_runs([session.experiment_id], max_results=20)
        yield
        if page:
            run = session.random.choice(list(page))
            person.read_run(run.info.run_id)
            yield
            for key in list(run.data.metrics)[:1]:
                client.get_metric_history(run.info.run_id, key)
                yield


class Team(TracingMember):
    """Someone of the team; what comes next is drawn by its share."""

    activities: ClassVar[dict[Activity, int]] = {
        log_runs: 14,
        look_around: 4,
        store_files: 1,
        register_models: 1,
        tidy_up: 1,
    }

    def _choose(self) -> Activity:
        share = float(self.parameters.get("traces", 0))
        each = self.activities | cards(share, sum(self.activities.values()))
        return self.session.random.choices(list(each), list(each.values()))[0]
