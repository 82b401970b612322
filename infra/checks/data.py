"""Refuses a change of configuration that would remove data.

Pulumi deletes what a stack file no longer describes and replaces what cannot be changed, volumes
and claims included. The state says where a stack's data is, and the stack file where it would be;
both are described by keys of the stack file. `pulumi destroy` is not checked: it removes all.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from infra import state
from infra.labels import LABEL_STACK
from infra.names import Names
from infra.outputs import Platform
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.external import StoreKind
from infra.specification.values import Data, S3Engine

VOLUME = "docker:index/volume:Volume"
CLAIM = "kubernetes:core/v1:PersistentVolumeClaim"

OWN, EXTERNAL = "the stack's own", "external"
DEFAULT_CLASS = "the cluster's default"

Place = dict[str, str]
"""Keys of a stack file and their values, the widest first."""


STORES: Mapping[str, tuple[Data, Place]] = {
    "postgres-data": (Data.DATABASE, {"database": OWN}),
    "artifacts": (Data.ARTIFACTS, {"artifacts": StoreKind.VOLUME}),
    "nfs-data": (Data.ARTIFACTS, {"artifacts": StoreKind.NFS}),
    **{
        f"{engine.data_component}-data": (
            Data.ARTIFACTS,
            {"artifacts": StoreKind.S3, "s3_engine": engine},
        )
        for engine in S3Engine
    },
}
"""Logical names of the volumes and claims with data, and what puts them there."""


@dataclass(frozen=True)
class Store:
    """A volume or a claim with data, as the state has it."""

    data: Data
    name: str
    """Of the volume or the claim itself."""
    place: Place

    def __str__(self) -> str:
        if self.place["platform"] == Platform.DOCKER:
            return f"volume {self.name}"
        return f"claim {self.name} in namespace {self.place['kubernetes.namespace']}"


@dataclass(frozen=True)
class Loss:
    """A store that would be removed, and the key that would do so."""

    store: Store
    key: str
    was: str
    now: str


def check_data(stack: str, spec: DeploymentSpec) -> None:
    """Raise `SpecError`, a line for each key, when a deployment of `spec` would remove data.

    Data that `discard_data` names is removed with a warning. A `discard_data` without effect is
    refused, so that it is not left for the next deployment.
    """
    losses = [
        loss
        for loss in lost(
            stores_in(state.resources(pulumi.get_stack()), Names(stack)),
            planned_places(stack, spec),
        )
        if holds_data(loss.store)
    ]
    if refused := [loss for loss in losses if loss.store.data not in spec.discard_data]:
        raise SpecError("\n".join(refusals(refused, spec.discard_data)))
    if idle := sorted(set(spec.discard_data) - {loss.store.data for loss in losses}):
        raise SpecError(
            f"discard_data: {','.join(idle)}: this deployment removes nothing of it; "
            "pulumi config rm discard_data"
        )
    for loss in losses:
        pulumi.log.warn(
            f"discard_data: {loss.store}, with the {loss.store.data} of {stack}, is removed"
        )


def planned_places(stack: str, spec: DeploymentSpec) -> dict[Data, Place]:
    """Return where a stack file puts each kind of data, by its keys."""
    around = {"platform": str(spec.platform)}
    if spec.kubernetes is None:
        around["stack"] = stack
    else:
        around |= {
            "kubernetes.context": spec.kubernetes.context,
            "kubernetes.namespace": spec.kubernetes.namespace_of(stack),
            "kubernetes.storage_class": spec.kubernetes.storage_class or DEFAULT_CLASS,
        }
    is_own = isinstance(spec.artifacts, StoreKind)
    artifacts = str(spec.artifact_store) if is_own else f"{EXTERNAL} {spec.artifact_store}"
    return {
        Data.DATABASE: around | {"database": EXTERNAL if spec.database else OWN},
        Data.ARTIFACTS: around | {"artifacts": artifacts, "s3_engine": str(spec.s3_engine)},
    }


def stores_in(resources: Iterable[Mapping[str, Any]], names: Names) -> list[Store]:
    """Return the volumes and claims with data of one deployment among the resources of a state."""
    deployments_own = {names.logical(name): store for name, store in STORES.items()}
    by_urn = {resource["urn"]: resource for resource in resources}
    stores = []
    for urn, resource in by_urn.items():
        name = urn.rpartition("::")[2]
        if (
            resource["type"] not in (VOLUME, CLAIM)
            or name not in deployments_own
            or resource.get("delete")
        ):
            continue
        inputs = resource["inputs"]
        data, place = deployments_own[name]
        if resource["type"] == CLAIM:
            provider = by_urn[resource["provider"].rpartition("::")[0]]["inputs"]
            around = _in_cluster(inputs, provider)
            stores.append(Store(data, inputs["metadata"]["name"], around | place))
        elif not inputs.get("driverOpts"):  # With some it is a mount, and the data is elsewhere.
            labels = {label["label"]: label["value"] for label in inputs["labels"]}
            around = {"platform": str(Platform.DOCKER), "stack": labels[LABEL_STACK]}
            stores.append(Store(data, inputs["name"], around | place))
    return stores


def _in_cluster(claim: Mapping[str, Any], provider: Mapping[str, Any]) -> dict[str, str]:
    return {
        "platform": str(Platform.KUBERNETES),
        "kubernetes.context": provider.get("clusterIdentifier") or provider.get("context", ""),
        "kubernetes.namespace": claim["metadata"]["namespace"],
        "kubernetes.storage_class": claim["spec"].get("storageClassName") or DEFAULT_CLASS,
    }


def lost(stores: Iterable[Store], places: Mapping[Data, Place]) -> list[Loss]:
    """Return the stores that a deployment would remove, each with the first key that differs."""
    losses = []
    for store in stores:
        now = places[store.data]
        changed = [key for key, was in store.place.items() if now.get(key) != was]
        if changed:
            key = changed[0]
            losses.append(Loss(store, key, store.place[key], now[key]))
    return losses


def refusals(losses: Iterable[Loss], discarded: Iterable[Data] = ()) -> list[str]:
    """Return a line for each key: what its change would remove, and the remedies."""
    losses = list(losses)
    names = ",".join(sorted({*discarded, *(loss.store.data for loss in losses)}))
    by_change: dict[tuple[str, str, str], list[Store]] = {}
    for loss in losses:
        by_change.setdefault((loss.key, loss.was, loss.now), []).append(loss.store)
    return [
        f"{key}: {was} -> {now}: would remove "
        + " and ".join(f"{store} with the {store.data}" for store in stores)
        + "; set it back, or move (docs/durability.md#moving-a-stack), or give up what is there: "
        f"pulumi config set discard_data {names}"
        for (key, was, now), stores in by_change.items()
    ]


def holds_data(store: Store) -> bool:
    """Return whether a store has content; True if that cannot be found out."""
    # The other platform's SDK is loaded only where a stack leaves it.
    if store.place["platform"] == Platform.DOCKER:
        from infra.docker.preflight import holds_data as in_volume

        return in_volume(store.name)
    from infra.kubernetes.preflight import holds_data as in_claim

    place = store.place
    return in_claim(place["kubernetes.context"], place["kubernetes.namespace"], store.name)
