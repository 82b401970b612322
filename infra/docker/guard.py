"""The last thing that a destroy removes: whatever an interrupted deployment left behind.

An engine that is killed between creating a container and writing that down leaves a container
that no state knows of. Everything carries a label with the deployment's random id; the id is
in the state before anything else exists, and its deletion, which comes last, removes all that
still carries it. It needs no particular Docker plugin.
"""

from collections.abc import Mapping
from typing import Any

import pulumi
import pulumi_random as random
from pulumi import dynamic

from infra import own_provider
from infra.labels import LABEL_DEPLOYMENT
from infra.own_provider import OwnProvider


class Sweeper(OwnProvider):
    """Removes the containers, networks and volumes of a deployment."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Record the deployment's id; there is nothing to make."""
        return dynamic.CreateResult(id_=props["deployment"], outs={**props})

    def diff(self, _id: str, _olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Compare the deployment's id, and not where the code of this provider is."""
        return dynamic.DiffResult(changes=_id != news["deployment"])

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Remove all that carries the deployment's label."""
        sweep({LABEL_DEPLOYMENT: _id})


def load() -> OwnProvider:
    """Return the provider as older states ask for it."""
    return own_provider.load(__name__, Sweeper.__name__)


def sweep(labels: Mapping[str, str]) -> list[str]:
    """Remove every container, network and volume with all of `labels`; return their names."""
    import docker

    client = docker.from_env(timeout=60)
    try:
        chosen: dict[str, str | list[str] | bool] = {
            "label": [f"{key}={value}" for key, value in labels.items()]
        }
        removed = []
        for container in client.containers.list(all=True, filters=chosen, ignore_removed=True):
            removed.append(f"container {container.name}")
            container.remove(force=True, v=True)
        for network in client.networks.list(filters=chosen):
            removed.append(f"network {network.name}")
            network.remove()
        for volume in client.volumes.list(filters=chosen):
            removed.append(f"volume {volume.name}")
            volume.remove(force=True)
        return removed
    finally:
        client.close()


class _Guard(dynamic.Resource):
    deployment: pulumi.Output[str]

    def __init__(
        self, name: str, deployment: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(Sweeper(), name, {"deployment": deployment}, opts)


class Guard(pulumi.ComponentResource):
    """Gives a deployment its id, and removes what still carries it at the very end."""

    deployment: pulumi.Output[str]
    """Random id of this deployment, eight hexadecimal digits; all else depends on it."""

    def __init__(self, name: str, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("mlflow-bench:docker:Guard", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        chosen = random.RandomId(f"{name}-id", byte_length=4, opts=child)
        self.deployment = _Guard(f"{name}-leftovers", chosen.hex, child).deployment
        self.register_outputs({"deployment": self.deployment})
