"""Where a component's image comes from: built here, a registry, or a reference of one's own."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import docker
import pulumi

from infra.build_context import BuildContext, find_ca_bundle, stage
from infra.docker import registry
from infra.docker.image_provider import PresentImage
from infra.spec import DeploymentSpec, SpecError

PROJECT_FOLDER = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Published:
    """An image of this project that `scripts/images push` has put into a registry."""

    context: BuildContext
    """What it was built from."""

    reference: str
    """Its name there."""


Source = BuildContext | Published | str
"""A string is a reference that a person gave."""


def image_source(
    name: str, given: str | None, spec: DeploymentSpec, *, built_here: bool = True
) -> Source:
    """Return where the image `name` comes from; `given` is the person's own reference.

    With a registry it comes from there, but for one with a person's own mlflow, which changes with
    each edit: that is built, unless images that are built here are of no use (`built_here`).
    Raises `BuildContextError`, before any resource exists, for an mlflow that cannot be built.
    """
    if given is not None:
        return given
    own = spec.mlflow if name == "mlflow" else None
    context = stage(
        name,
        PROJECT_FOLDER / ".build",
        ca_bundle=find_ca_bundle(),
        mlflow_source=own,
        base=spec.base_image,
    )
    if spec.image_registry is None or (own is not None and built_here):
        return context
    return Published(context, context.in_registry(spec.image_registry))


def check_published(
    client: docker.DockerClient, spec: DeploymentSpec, sources: Iterable[Source]
) -> None:
    """Raise `SpecError` for images that neither the engine nor the registry has."""
    contexts = [source.context for source in sources if isinstance(source, Published)]
    given = spec.image_registry
    if given is None or not contexts:
        return
    try:
        absent = registry.missing(client, given, contexts)
    except registry.RegistryError as error:
        raise SpecError(f"image_registry: {error}") from None
    if absent:
        base = spec.base_image if "base_image" in spec.model_fields_set else None
        own = spec.mlflow if "mlflow" in absent else None
        tags = {context.name: context.in_registry("") for context in contexts}
        listed = ", ".join(tags[name].removeprefix("/") for name in absent)
        raise SpecError(
            f"image_registry: {given}: has no {listed}; push: "
            + registry.push_command(given, absent, base, own)
        )


class Image(pulumi.ComponentResource):
    """The image of one component, on the engine."""

    digest: pulumi.Output[str]
    """Id of the image to run: what is recorded with a figure is what ran."""

    def __init__(
        self, name: str, source: Source, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:docker:Image", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        if isinstance(source, BuildContext):
            image = PresentImage(name, source.tag, source, child)
        else:
            reference = source.reference if isinstance(source, Published) else source
            image = PresentImage(name, reference, None, child)
        self.digest = image.digest
        self.register_outputs({"digest": self.digest})
