"""How pods are reached: Services, and the policies that say by whom."""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking import v1 as networking

from infra.kubernetes.identity import Identity


def service(
    identity: Identity,
    component: str,
    port: int,
    parent: pulumi.Resource,
    depends_on: list[pulumi.Resource],
    *,
    name: str | None = None,
    target_port: int | None = None,
    headless: bool = False,
) -> core.Service:
    """Declare the Service by which others reach a component, once it has a ready pod.

    `name` defaults to the component's, `target_port`, the pods' own, to `port`. A headless Service
    has no address: its name stands for those of the ready pods.
    """
    name = name or component
    return core.Service(
        identity.logical(name),
        metadata=identity.metadata(name, component),
        spec=core.ServiceSpecArgs(
            selector=identity.pod_labels(component),
            ports=[core.ServicePortArgs(name="main", port=port, target_port=target_port or port)],
            cluster_ip="None" if headless else None,
        ),
        opts=identity.options(parent, depends_on),
    )


def allow_ingress(
    identity: Identity,
    component: str,
    port: int,
    from_pods: Mapping[str, str] | None,
    parent: pulumi.Resource,
    *,
    from_namespace: str | None = None,
) -> None:
    """Let only pods with the labels `from_pods` reach a component's pods; None: everyone.

    All pods of the namespace `from_namespace` may, too.
    """
    peers = None
    if from_pods is not None:
        labels = LabelSelectorArgs(match_labels=dict(from_pods))
        peers = [networking.NetworkPolicyPeerArgs(pod_selector=labels)]
        if from_namespace is not None:
            labels = LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": from_namespace})
            peers.append(networking.NetworkPolicyPeerArgs(namespace_selector=labels))
    ports = [networking.NetworkPolicyPortArgs(port=port, protocol="TCP")]
    networking.NetworkPolicy(
        identity.logical(component),
        metadata=identity.metadata(component, component),
        spec=networking.NetworkPolicySpecArgs(
            pod_selector=identity.selector(component),
            policy_types=["Ingress"],
            ingress=[networking.NetworkPolicyIngressRuleArgs(from_=peers, ports=ports)],
        ),
        opts=identity.options(parent),
    )
