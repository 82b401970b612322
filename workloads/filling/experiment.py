"""The experiment that filled traces are in: its name says how many, a tag what they are."""

import json
import time

from mlflow import MlflowClient
from mlflow.entities import Experiment

from workloads import CannotRunError
from workloads.filling.facts import Shape

SHAPE = "mlflow-bench.traces"
"""Tag with the shape as JSON."""
COMPLETE = "complete"
"""Tag that says `yes` once all traces are there."""


def name_of(traces: int, spans: int) -> str:
    """Name of the experiment with so many traces of so many spans."""
    return f"mlflow-bench trace-search, {traces} traces of {spans} spans"


def find(client: MlflowClient, traces: int, spans: int) -> Experiment | None:
    """Return the experiment, if it is there; raises `CannotRunError` if it is deleted."""
    name = name_of(traces, spans)
    found = client.get_experiment_by_name(name)
    if found and found.lifecycle_stage != "active":
        raise CannotRunError(f"experiment {name!r} is deleted: restore it, or take another number")
    return found


def shape_of(experiment: Experiment) -> Shape:
    """Return the shape of its traces; raises `CannotRunError` if the tag does not say it."""
    try:
        return Shape(**json.loads(experiment.tags[SHAPE]))
    except (KeyError, TypeError, ValueError):
        raise CannotRunError(
            f"experiment {experiment.name!r} was not made by this version: delete it"
        ) from None


def is_complete(experiment: Experiment) -> bool:
    """Whether all its traces are there."""
    return bool(experiment.tags.get(COMPLETE) == "yes")


def create(client: MlflowClient, shape: Shape) -> str:
    """Make the experiment of these traces, which are to come; returns its id."""
    experiment_id: str = client.create_experiment(
        name_of(shape.traces, shape.spans), tags={SHAPE: json.dumps(shape.as_dict())}
    )
    return experiment_id


def complete(client: MlflowClient, experiment_id: str) -> None:
    """Say that all traces are there."""
    client.set_experiment_tag(experiment_id, COMPLETE, "yes")


def now_ms() -> int:
    """Unix time in ms."""
    return time.time_ns() // 1_000_000
