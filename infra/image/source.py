"""Where a component's image comes from: built here, a registry, or a reference of one's own."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import docker

from infra.components.names import LOAD, LOAD_BALANCER, MLFLOW, NFS, OBJECT_STORE, POSTGRES
from infra.image import registry
from infra.image.context import PROJECT, BuildContext, find_ca_bundle, stage
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.external import StoreKind


@dataclass(frozen=True)
class Published:
    """An image of this project that `scripts/images push` has put into a registry."""

    context: BuildContext
    """What it was built from."""

    reference: str
    """Its name there."""


Source = BuildContext | Published | str
"""A string is a reference from the stack file."""


def image_sources(spec: DeploymentSpec, *, built_here: bool = True) -> dict[str, Source]:
    """Return where the image of each component comes from, see `image_source`."""
    images = {MLFLOW: ("mlflow", spec.mlflow_image)}
    if spec.balanced:
        images[LOAD_BALANCER] = ("nginx", spec.nginx_image)
    if spec.database is None:
        images[POSTGRES] = ("postgres", spec.postgres_image)
    if spec.uses_own_s3:
        images[OBJECT_STORE] = (spec.s3_engine, spec.object_store_image)
    if spec.artifacts is StoreKind.NFS:
        images[NFS] = ("nfs", spec.nfs_image)
    if spec.loads_inside:
        images[LOAD] = ("workload", spec.load_image)
    return {
        component: image_source(name, reference, spec, built_here=built_here)
        for component, (name, reference) in images.items()
    }


def image_source(
    name: str, reference: str | None, spec: DeploymentSpec, *, built_here: bool = True
) -> Source:
    """Return where the image `name` comes from; `reference` is that of the stack file.

    With a registry it comes from there. Only an image with an own mlflow, a wheel or a folder,
    which changes with each edit, is still built, unless the platform takes no image from here
    (`built_here`).
    Raises `BuildContextError`, before any resource exists, for an mlflow that cannot be built.
    """
    if reference is not None:
        return reference
    given = spec.mlflow if name == "mlflow" else None
    context = stage(
        name,
        PROJECT / ".build",
        ca_bundle=find_ca_bundle(),
        mlflow_source=given,
        base=spec.base_image,
    )
    if spec.image_registry is None or (isinstance(given, Path) and built_here):
        return context
    return Published(context, context.in_registry(spec.image_registry))


def check_published(
    client: docker.DockerClient, spec: DeploymentSpec, sources: Iterable[Source]
) -> None:
    """Raise `SpecError` for images that neither the engine nor the registry has."""
    contexts = [source.context for source in sources if isinstance(source, Published)]
    registry_name = spec.image_registry
    if registry_name is None or not contexts:
        return
    try:
        absent = registry.missing(client, registry_name, contexts)
    except registry.RegistryError as error:
        raise SpecError(f"image_registry: {error}") from None
    if absent:
        base = spec.base_image if "base_image" in spec.model_fields_set else None
        own = spec.mlflow if "mlflow" in absent else None
        tags = {context.name: context.in_registry("") for context in contexts}
        listed = ", ".join(tags[name].removeprefix("/") for name in absent)
        raise SpecError(
            f"image_registry: {registry_name}: has no {listed}; push: "
            + registry.push_command(registry_name, absent, base, own)
        )
