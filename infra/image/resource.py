"""Puts a component's image on the engine: built here, or pulled from a registry.

Resources of this project's own, and not of the docker plugin: its `Image` builds again what is
there, leaves the old builder's containers, and never notices that an image was removed; its
`RemoteImage` pulls without the person's `docker login`.
"""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
import pulumi
from docker.errors import APIError, DockerException
from pulumi import dynamic
from requests.exceptions import RequestException

from infra.image import build, registry
from infra.image.context import BuildContext
from infra.image.source import Published, Source
from infra.own_provider import OwnProvider


class Provider(OwnProvider):
    """Images by their reference.

    They stay when their resource goes: others run them, and the next deployment begins with them.
    """

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Have the image on the engine."""
        return dynamic.CreateResult(id_=props["reference"], outs=_present(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Return whether it is another image, or the engine lacks it."""
        if olds["reference"] != news["reference"]:
            return dynamic.DiffResult(changes=True)
        with _engine(news) as client:
            if news["context"]:
                # The tag names the content; it may have been given to another build of the same.
                return dynamic.DiffResult(changes=registry.image_id(client, olds["digest"]) is None)
            digest = registry.image_id(client, news["reference"])
            return dynamic.DiffResult(changes=digest != olds["digest"])

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Have another image on the engine."""
        return dynamic.UpdateResult(outs=_present(news))


def _present(props: dict[str, Any]) -> dict[str, Any]:
    """Build or pull the image."""
    with _engine(props) as client:
        if not props["context"]:
            digest = registry.pull(client, props["reference"])
        else:
            context = BuildContext(Path(props["context"]), props["reference"], props["base"])
            digest = build.ensure(client, context, _print)
    return {key: props[key] for key in ("reference", "context", "base")} | {"digest": digest}


@contextmanager
def _engine(props: dict[str, Any]) -> Iterator[docker.DockerClient]:
    """Yield a client; every failure becomes a `RuntimeError` with one message."""
    try:
        with closing(build.connect()) as client:
            yield client
    except (build.BuildFailedError, registry.RegistryError) as error:
        raise RuntimeError(str(error)) from None
    except (DockerException, RequestException) as error:
        reason = error.explanation if isinstance(error, APIError) else error
        raise RuntimeError(f"{props['reference']}: Docker says: {reason}") from None


def _print(line: str) -> None:
    """Print a line; Pulumi shows what a provider prints."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class PresentImage(dynamic.Resource):
    """An image that the engine has."""

    digest: pulumi.Output[str]
    """Its id."""

    def __init__(
        self,
        name: str,
        reference: str,
        context: BuildContext | None,
        opts: pulumi.ResourceOptions,
    ) -> None:
        props = {
            "reference": reference,
            # Not compared by `diff`: the same content may lie elsewhere. Pulumi drops a None.
            "context": str(context.path) if context else "",
            "base": context.base if context else "",
            "digest": None,
        }
        super().__init__(Provider(), f"{name}-image", props, opts)


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
