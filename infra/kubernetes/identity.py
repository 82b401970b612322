"""Names and labels of everything in a stack's namespace."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes

from infra.docker.identity import LABEL_COMPONENT, LABEL_STACK

LABEL_CLIENT = "mlflow-bench.client"
"""On pods that may reach the stores."""


@dataclass(frozen=True)
class Identity:
    """What the objects of one stack have in common."""

    stack: str
    context: str
    """Of the kubeconfig."""
    namespace: pulumi.Output[str]
    provider: kubernetes.Provider
    salt: pulumi.Output[str]
    """A secret, by which pods tell that their secrets have changed."""
    image_pull_secrets: Sequence[str] = ()
    service_account: pulumi.Output[str] | None = None
    """Of the pods that use the stores; None: the namespace's default one."""

    def labels(self, component: str) -> dict[str, str]:
        """Return the labels of everything that belongs to `component`."""
        return {
            LABEL_STACK: self.stack,
            LABEL_COMPONENT: component,
            "app.kubernetes.io/name": component,
            "app.kubernetes.io/part-of": "mlflow-bench",
        }

    def selector(self, component: str) -> dict[str, str]:
        """Return what the pods of `component` are known by."""
        return {LABEL_STACK: self.stack, LABEL_COMPONENT: component}

    def metadata(self, name: str, component: str) -> Any:
        """Return the metadata of the object `name` of `component`."""
        return {"name": name, "namespace": self.namespace, "labels": self.labels(component)}

    def options(
        self, parent: pulumi.Resource, after: list[pulumi.Resource] | None = None
    ) -> pulumi.ResourceOptions:
        """Return the options of a child of `parent`, made after those of `after`.

        Each is deleted by itself, and the namespace at last (not `deleted_with` it): the cluster
        looks at a namespace with pods in it again only after half of their grace, and `destroy`
        took 53 s instead of 31.
        """
        return pulumi.ResourceOptions(parent=parent, provider=self.provider, depends_on=after)
