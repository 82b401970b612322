"""Names and labels of everything in a stack's namespace."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.labels import LABEL_COMPONENT, LABEL_STACK
from infra.names import Names

LABEL_CLIENT = "mlflow-bench.client"
"""On pods that may reach the stores."""


@dataclass(frozen=True)
class Identity(Names):
    """What the objects of one stack have in common."""

    context: str
    """Of the kubeconfig."""
    namespace: pulumi.Output[str]
    provider: Provider
    salt: pulumi.Output[str]
    """A secret: the key of the digest by which a pod is replaced when its secrets change."""
    image_pull_secrets: Sequence[str] = ()
    service_account: pulumi.Output[str] | None = None
    """Of the pods that use the stores; None: the namespace's default account."""

    def labels(self, component: str) -> dict[str, str]:
        """Return the labels of everything that belongs to `component`."""
        return {
            LABEL_STACK: self.stack,
            LABEL_COMPONENT: component,
            "app.kubernetes.io/name": component,
            "app.kubernetes.io/part-of": "mlflow-bench",
        }

    def pod_labels(self, component: str) -> dict[str, str]:
        """Return the labels that select the pods of `component`."""
        return {LABEL_STACK: self.stack, LABEL_COMPONENT: component}

    def selector(self, component: str) -> LabelSelectorArgs:
        """Return the selector of the pods of `component`."""
        return LabelSelectorArgs(match_labels=self.pod_labels(component))

    def metadata(
        self,
        name: str,
        component: str,
        *,
        labels: Mapping[str, str] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> ObjectMetaArgs:
        """Return the metadata of the object `name` of `component`; `labels` are more of them."""
        return ObjectMetaArgs(
            name=name,
            namespace=self.namespace,
            labels={**(labels or {}), **self.labels(component)},
            annotations=annotations,
        )

    def options(
        self, parent: pulumi.Resource, depends_on: list[pulumi.Resource] | None = None
    ) -> pulumi.ResourceOptions:
        """Return the options of a child of `parent`, made after those of `depends_on`.

        Each is deleted by itself, the namespace last (no `deleted_with`): the cluster checks a
        namespace that still has pods again only after half of their grace period, and `destroy`
        took 53 s instead of 31.
        """
        return pulumi.ResourceOptions(parent=parent, provider=self.provider, depends_on=depends_on)
