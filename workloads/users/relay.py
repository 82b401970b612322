"""A team that shares its work: a free user continues what another one began.

In an open loop most users only stand in for those that wait. If each had work of its own, a fault
would meet nearly all of them at its start, creating runs that none of them ever ends. So the users
of a process share a pool of open runs, stored files and unfinished models. Runs are few and do end;
and while the newest work hangs, older runs are still ended and older files fetched.

Activities are not drawn either but take turns: every twenty calls have each of them, and traces
are so many more where they are asked for.
"""

import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count, cycle
from random import Random
from typing import ClassVar

from mlflow.entities import Metric, Param, RunTag

from workloads.history.wire import TOKEN_TAG
from workloads.scenarios.artifacts import KIB
from workloads.users import artifact_access
from workloads.users.artifact_files import Stored, download, upload
from workloads.users.model_registry import register_models
from workloads.users.person import Activity, Person
from workloads.users.team_traces import TracingMember, cards

OPEN = 4
"""Open runs of a process: as many can be ended while none can be begun."""

REMEMBERED = 100
"""Newest runs and files that are read again."""


@dataclass
class OpenRun:
    """A run that is open, and the number of its next batch."""

    run_id: str
    steps: Iterator[int] = field(default_factory=count)


@dataclass
class Pool:
    """What the users of a process share."""

    runs: deque[OpenRun] = field(default_factory=deque)
    found_runs: deque[str] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    """Ids that a search returned."""
    files: deque[Stored] = field(default_factory=lambda: deque(maxlen=REMEMBERED))
    file_numbers: Iterator[int] = field(default_factory=count)
    turns: Iterator[Activity] | None = None


POOL = Pool()
"""This process's own: each is forked with an empty one."""


def begin(person: Person) -> OpenRun:
    """Begin a run."""
    session = person.session
    tags = {TOKEN_TAG: session.token(), "team": f"team-{session.user}"}
    name = f"run of user {session.user}"  # without one the server makes one up
    run = person.client.create_run(session.experiment_id, tags=tags, run_name=name)
    open_run = OpenRun(run.info.run_id)
    POOL.runs.append(open_run)
    return open_run


def begin_runs(person: Person) -> Iterator[None]:
    """Begin a run each time."""
    while True:
        begin(person)
        yield


def log_metrics(person: Person) -> Iterator[None]:
    """Log a batch of metrics to an open run; the first one has its parameters, too."""
    session, metrics = person.session, int(person.parameters["metrics"])
    while True:
        if not POOL.runs:
            begin(person)
            yield
            continue
        run = session.random.choice(POOL.runs)
        step, now = next(run.steps), int(time.time() * 1000)
        points = [Metric(f"metric-{k}", session.random.random(), now, step) for k in range(metrics)]
        params = [Param(f"param-{k}", str(session.random.random())) for k in range(5)]
        tags = [RunTag("stage", "experiment")]
        if step:
            person.client.log_batch(run.run_id, points)
        else:
            person.client.log_batch(run.run_id, points, params, tags)
        yield


def end_runs(person: Person) -> Iterator[None]:
    """End the oldest open run, or begin one where too few are open."""
    while True:
        if len(POOL.runs) < OPEN:
            begin(person)
        else:
            person.client.set_terminated(POOL.runs.popleft().run_id)
        yield


def search(person: Person) -> Iterator[None]:
    """Search for the newest runs, as the web interface does."""
    while True:
        page = person.client.search_runs([person.session.experiment_id], max_results=20)
        POOL.found_runs.extend(run.info.run_id for run in page)
        yield


def look_at_runs(person: Person) -> Iterator[None]:
    """Read a run that a search returned, then its curve."""
    while True:
        if not POOL.found_runs:
            next(search(person))
            yield
            continue
        run = person.client.get_run(person.session.random.choice(POOL.found_runs))
        yield
        for key in list(run.data.metrics)[:1]:
            person.client.get_metric_history(run.info.run_id, key)
            yield


def store(person: Person) -> Iterator[None]:
    """Store a file with an open run."""
    session, transfer = (
        person.session,
        artifact_access.transfer_for(person.session.process.plan, person.client),
    )
    sizes = [int(size) * KIB for size in person.parameters["sizes_kib"]]
    while True:
        if not POOL.runs:
            begin(person)
            yield
            continue
        run = session.random.choice(POOL.runs)
        number = next(POOL.file_numbers)
        name = f"{session.process.index}-{number}.bin"
        if stored := upload(person, transfer, run.run_id, name, sizes[number % len(sizes)]):
            POOL.files.append(stored)
        yield


def fetch(person: Person) -> Iterator[None]:
    """Fetch a file that anybody stored, or store one where there is none."""
    transfer = artifact_access.transfer_for(person.session.process.plan, person.client)
    while True:
        if POOL.files:
            download(person, transfer, person.session.random.choice(POOL.files))
            yield
        else:
            next(store(person))
            yield


def shared(activity: Activity) -> Activity:
    """Let users continue each other's runs of an activity; one that fails ends."""
    idle: deque[Iterator[None]] = deque()

    def turns(person: Person) -> Iterator[None]:
        while True:
            continued = idle.popleft() if idle else activity(person)
            next(continued)
            idle.append(continued)
            yield

    return turns


class Relay(TracingMember):
    """A member of a team that does everything in turn."""

    activities: ClassVar[dict[Activity, int]] = {
        begin_runs: 2,
        log_metrics: 6,
        end_runs: 2,
        search: 2,
        shared(look_at_runs): 2,
        store: 2,
        fetch: 2,
        shared(register_models): 2,
    }

    def _choose(self) -> Activity:
        """Return the process's next activity; their order is drawn once, by the seed."""
        if POOL.turns is None:
            share = float(self.parameters.get("traces", 0))
            each = self.activities | cards(share, sum(self.activities.values()))
            turns = [activity for activity, number in each.items() for _ in range(number)]
            draw = Random(f"{self.process.plan.seed}/{self.process.index}/relay")  # noqa: S311 - repeatable
            draw.shuffle(turns)
            POOL.turns = cycle(turns)
        return next(POOL.turns)
