"""Images where the cluster finds them: by reference, or copied into the test cluster."""

from typing import Any

import pulumi
from pulumi import dynamic

from infra.kubernetes.own_provider import OwnProvider


class Loader(OwnProvider):
    """Copies images of this machine's Docker to the test cluster's node."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Copy one."""
        self._load(props)
        return dynamic.CreateResult(id_=_name(props), outs=_outputs(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Tell whether the node lacks it."""
        from scripts.offline.test_cluster import images

        return dynamic.DiffResult(changes=_name(olds) != _name(news) or not images.has(_name(news)))

    def update(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Copy another one; those before stay, for pods that still run."""
        self._load(news)
        return dynamic.UpdateResult(outs=_outputs(news))

    def _load(self, props: dict[str, Any]) -> None:
        from scripts.offline.test_cluster import images

        images.load(props["image"], _name(props))


def _name(props: dict[str, Any]) -> str:
    """Return the name on the node: that of the image, with its digest for the tag."""
    repository = str(props["image"]).partition("@")[0].rpartition("/")[2].partition(":")[0]
    return f"mlflow-bench/{repository}:{str(props['digest']).removeprefix('sha256:')[:12]}"


def _outputs(props: dict[str, Any]) -> dict[str, Any]:
    return {"image": props["image"], "digest": props["digest"], "name": _name(props)}


class LoadedImage(dynamic.Resource):
    """An image on the test cluster's node."""

    name: pulumi.Output[str]
    """What a pod names it by."""

    def __init__(
        self, name: str, image: str, digest: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        props = {"image": image, "digest": digest, "name": None}
        super().__init__(Loader(), f"{name}-loaded", props, opts)
