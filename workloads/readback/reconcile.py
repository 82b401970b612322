"""The remedy for doubles: what a client created again after the answer to its first try was lost.

mlflow 3.17's client repeats a create whose answer does not come, though the server may have
carried it out (mlflow/mlflow#8238): then there are two runs, and the client knows of one. A tag
with a value of its own for each create tells which belong together. The one that the client knows
stays, the others are deleted. That is done at the end: a slow first try may come after the second.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from workloads.history.history import Kind, Operation
from workloads.history.wire import TOKEN_TAG
from workloads.readback import evaluation
from workloads.readback.attempted import Attempted
from workloads.readback.listing import Listing


@dataclass(frozen=True)
class Double:
    """A thing that was made again, and the one that stays."""

    kind: Kind
    key: str
    kept: str
    removed: str


def doubles(kind: Kind, listed: Iterable[tuple[str, str]], known: set[str]) -> Iterator[Double]:
    """Yield what has to go, of things listed with key and id.

    Things of one key are one that was made several times. Whatever the client knows stays; of
    those that it knows none of, the first one. Without a key nothing can be told.
    """
    by_key: dict[str, list[str]] = defaultdict(list)
    for key, identity in listed:
        by_key[key].append(identity)
    for key, identities in by_key.items():
        stays = [identity for identity in identities if identity in known] or identities[:1]
        for identity in identities if key else []:
            if identity not in stays:
                yield Double(kind, key, stays[0], identity)


def reconcile(uri: str, experiment_id: str, operations: Iterable[Operation]) -> list[Double]:
    """Delete every double of the runs, models, versions, assessments … of an experiment.

    Assessments that override another stay: when one is deleted, that other is valid again.

    Returns what was deleted; raises `MlflowException` where the server refuses.
    """
    attempted = Attempted(operations)
    listing = Listing(uri, experiment_id)
    removed = [
        *doubles(
            Kind.RUN, ((key, i) for key, i, _ in listing.runs(attempted.runs)), attempted.runs
        ),
        *doubles(Kind.MODEL, ((key, i) for key, i, _ in listing.models()), attempted.models),
    ]
    for name, _, _ in listing.registered():
        versions = (version[:2] for version in listing.versions(name))
        removed += doubles(Kind.VERSION, versions, attempted.versions[name])
    client = listing.client
    assessed = evaluation.assessments(client, experiment_id)
    known = set().union(*attempted.assessments.values())
    removed += doubles(Kind.ASSESSMENT, assessed, known)
    sets = evaluation.datasets(client, experiment_id)
    tokens = ((one.tags.get(TOKEN_TAG, ""), one.dataset_id) for one in sets)
    removed += doubles(Kind.EVALUATION_DATASET, tokens, attempted.datasets)
    for double in removed:
        _delete(listing, double)
    return removed


def _delete(listing: Listing, double: Double) -> None:
    match double.kind:
        case Kind.RUN:
            listing.client.delete_run(double.removed)
        case Kind.MODEL:
            listing.client.delete_logged_model(double.removed)
        case Kind.VERSION:
            name, _, version = double.removed.rpartition("/")
            listing.delete_version(name, version)
        case Kind.ASSESSMENT:
            trace_id, _, own_id = double.removed.rpartition("/")
            listing.client._tracking_client.store.delete_assessment(trace_id, own_id)
        case Kind.EVALUATION_DATASET:
            listing.client.delete_dataset(double.removed)
