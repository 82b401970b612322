"""Trainers without their computing: runs that are begun, logged to and ended, call by call."""

import time
from collections.abc import Iterator
from typing import ClassVar

from mlflow.entities import Metric, Param, RunTag

from workloads.history.wire import TOKEN_TAG
from workloads.users.person import Activity, Person


def log_runs(person: Person) -> Iterator[None]:
    """Begin a run, log parameters, then batches of metrics, look at it, end it; and again."""
    session, client = person.session, person.client
    batches = int(person.parameters.get("batches", 16))
    metrics = int(person.parameters.get("metrics", 10))
    while True:
        tags = {TOKEN_TAG: session.token(), "team": f"team-{session.user}"}
        name = f"run of user {session.user}"  # without one the server makes one up
        run_id = client.create_run(session.experiment_id, tags=tags, run_name=name).info.run_id
        yield
        client.log_batch(
            run_id,
            params=[Param(f"param-{k}", str(session.random.random())) for k in range(5)],
            tags=[RunTag("stage", "experiment")],
        )
        yield
        for step in range(batches):
            now = int(time.time() * 1000)
            client.log_batch(
                run_id,
                [Metric(f"metric-{k}", session.random.random(), now, step) for k in range(metrics)],
            )
            yield
        person.read_run(run_id)
        yield
        client.set_terminated(run_id)
        yield


class Tracker(Person):
    """Someone whose training takes no time, so that the server gets all of the load."""

    activities: ClassVar[dict[Activity, int]] = {log_runs: 1}


def log_to_one_run(person: Person) -> Iterator[None]:
    """Create a run, then log batches of metrics to it, and to no other."""
    session, client = person.session, person.client
    metrics = int(person.parameters["metrics"])
    tags = {TOKEN_TAG: session.token()}
    name = f"run of user {session.user}"
    run_id = client.create_run(session.experiment_id, tags=tags, run_name=name).info.run_id
    yield
    step = 0
    while True:
        now = int(time.time() * 1000)
        client.log_batch(
            run_id,
            [Metric(f"metric-{k}", session.random.random(), now, step) for k in range(metrics)],
        )
        step += 1
        yield


class Batcher(Person):
    """Someone who logs to one run only."""

    activities: ClassVar[dict[Activity, int]] = {log_to_one_run: 1}
