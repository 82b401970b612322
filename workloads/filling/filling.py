"""An experiment with many traces, made by copying them into the database of its server."""

from collections.abc import Callable
from dataclasses import dataclass

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from infra.outputs import BackendStore
from workloads import CannotRunError
from workloads.filling import database, experiment
from workloads.filling.database import Place
from workloads.filling.facts import Shape


@dataclass(frozen=True)
class Wanted:
    """What a database is to be filled with; see `facts.Shape`, and `database.Place.rollups`."""

    traces: int
    spans: int
    text: int
    days: float
    seed: str
    rollups: bool = False


@dataclass(frozen=True)
class Done:
    """What was copied.

    Attributes:
        copied: traces that were not there before.
        size: bytes of the whole database afterwards.
    """

    experiment_id: str
    copied: int
    size: int


def fill(
    tracking_uri: str,
    store: BackendStore,
    password: str,
    wanted: Wanted,
    progress: Callable[[int, int], None],
) -> Done:
    """Make the experiment unless it is there, and copy what it lacks.

    Raises `CannotRunError` if it is there with other traces, the server does not answer, or as
    `database.fill` does.
    """
    client = MlflowClient(tracking_uri)
    # First, so that a database with another schema is not touched.
    database.check(Place(store, password, "0"))
    try:
        experiment_id, shape = _experiment(client, wanted)
        place = Place(store, password, experiment_id, wanted.rollups)
        copied = database.fill(place, shape, progress)
        experiment.complete(client, experiment_id)
    except MlflowException as error:
        reason = str(error).splitlines()[0]
        raise CannotRunError(f"tracking server at {tracking_uri}: {reason}") from None
    return Done(experiment_id, copied, database.size(place))


def _experiment(client: MlflowClient, wanted: Wanted) -> tuple[str, Shape]:
    if found := experiment.find(client, wanted.traces, wanted.spans):
        shape = experiment.shape_of(found)
        if (shape.text, shape.seed) != (wanted.text, wanted.seed):
            raise CannotRunError(
                f"experiment {found.name!r} is there with --text {shape.text} --seed {shape.seed}: "
                "repeat it with these, take another number of traces, or delete it"
            )
        return str(found.experiment_id), shape
    shape = Shape.until(
        experiment.now_ms(),
        wanted.days,
        wanted.traces,
        spans=wanted.spans,
        text=wanted.text,
        seed=wanted.seed,
    )
    return experiment.create(client, shape), shape
