"""What runs the pods of a component, and the volume that keeps its data."""

from collections.abc import Sequence

import pulumi
from pulumi_kubernetes.apps import v1 as apps
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.policy import v1 as policy

from infra.kubernetes.identity import Identity
from infra.kubernetes.pod import PodSettings, pod_template
from infra.specification.cluster import ClusterSpec

PATCH_FORCE = {"pulumi.com/patchForce": "true"}
"""Let the stack file win over whoever set the same field later: after an autoscaler, or `kubectl
scale`, the number of replicas was theirs, and an update that set one ended in a conflict."""


def ready_timeout(pod: PodSettings) -> int:
    """Return the seconds after which a pod that is not ready never will be."""
    return pod.start_timeout + 60


def volume_claim(
    identity: Identity,
    component: str,
    cluster: ClusterSpec,
    parent: pulumi.Resource,
) -> core.PersistentVolumeClaim:
    """Declare the claim of a component's data."""
    name = f"{component}-data"
    return core.PersistentVolumeClaim(
        identity.logical(name),
        metadata=identity.metadata(name, component),
        spec=core.PersistentVolumeClaimSpecArgs(
            access_modes=["ReadWriteOnce"],
            resources=core.VolumeResourceRequirementsArgs(requests={"storage": cluster.storage}),
            storage_class_name=cluster.storage_class,
        ),
        opts=identity.options(parent),
    )


def stateful_set(
    identity: Identity, component: str, pod: PodSettings, parent: pulumi.Resource
) -> apps.StatefulSet:
    """Declare a workload of one pod, which keeps its name and never runs twice at once."""
    return apps.StatefulSet(
        identity.logical(component),
        metadata=identity.metadata(component, component),
        spec=apps.StatefulSetSpecArgs(
            service_name=component,
            replicas=1,
            selector=identity.selector(component),
            template=pod_template(identity, component, pod, parent),
        ),
        opts=pulumi.ResourceOptions.merge(identity.options(parent), await_timeouts(pod, 1)),
    )


def rolling_deployment(
    identity: Identity,
    component: str,
    pod: PodSettings,
    replicas: pulumi.Input[int] | None,
    parent: pulumi.Resource,
    *,
    max_replicas: int,
    depends_on: Sequence[pulumi.Resource] = (),
) -> apps.Deployment:
    """Declare a component of equal pods; an update ends one only when its successor is ready.

    `replicas` None: the cluster's autoscaler chooses, up to `max_replicas`; a number here would
    undo its choice at each update. `depends_on` is for the order alone: as the specification has
    a value of a resource that is replaced, the engine first removes all pods (`schema_revision`).
    """
    workload = apps.Deployment(
        identity.logical(component),
        metadata=identity.metadata(component, component, annotations=PATCH_FORCE),
        spec=apps.DeploymentSpecArgs(
            replicas=replicas,
            selector=identity.selector(component),
            strategy=apps.DeploymentStrategyArgs(
                type="RollingUpdate",
                rolling_update=apps.RollingUpdateDeploymentArgs(max_surge=1, max_unavailable=0),
            ),
            progress_deadline_seconds=ready_timeout(pod),
            template=pod_template(identity, component, pod, parent),
        ),
        opts=pulumi.ResourceOptions.merge(
            identity.options(parent, list(depends_on)),
            pulumi.ResourceOptions.merge(
                await_timeouts(pod, max_replicas),
                # Without it, one that an update removed before it failed is made by the next one,
                # and then, as it has the name of before, removed again at its end.
                pulumi.ResourceOptions(delete_before_replace=True),
            ),
        ),
    )
    _disruption_budget(identity, component, parent)
    return workload


def await_timeouts(pod: PodSettings, pods: int) -> pulumi.ResourceOptions:
    """Return how long Pulumi waits: new pods start at once, an update takes them in turn.

    Its default is ten minutes, for a pod that cannot start and for one that needs longer alike.
    """
    create, update = (f"{ready_timeout(pod) * turns}s" for turns in (1, pods))
    return pulumi.ResourceOptions(
        custom_timeouts=pulumi.CustomTimeouts(create=create, update=update)
    )


def _disruption_budget(identity: Identity, component: str, parent: pulumi.Resource) -> None:
    """Let a drain of a node evict one pod of a component at a time.

    Also the only one: otherwise its node could not be drained.
    """
    policy.PodDisruptionBudget(
        identity.logical(component),
        metadata=identity.metadata(component, component),
        spec=policy.PodDisruptionBudgetSpecArgs(
            max_unavailable=1, selector=identity.selector(component)
        ),
        opts=identity.options(parent),
    )
