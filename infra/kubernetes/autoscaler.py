"""The autoscaler of the replicas, and how their number becomes the stack file's again."""

import asyncio
from typing import Any

import pulumi
from kubernetes.client import ApiClient, AutoscalingV2Api
from kubernetes.client.exceptions import ApiException
from pulumi_kubernetes.autoscaling import v2 as autoscaling
from urllib3.exceptions import HTTPError

from infra.kubernetes.access import configuration
from infra.kubernetes.identity import Identity
from infra.labels import LABEL_STACK

CPU_TARGET_MILLICORES = 700
"""Mean use of each worker above which the cluster adds replicas: a Python process uses at most one
core, and its queue grows long before that."""
TIMEOUT_SECONDS = 10


def autoscaler(
    identity: Identity, name: str, replicas: tuple[int, int], workers: int, parent: pulumi.Resource
) -> None:
    """Let the cluster choose how many replicas of `name`, the fewest and the most, it runs.

    `workers` is the number of worker processes in each.
    """
    fewest, most = replicas
    target = autoscaling.MetricTargetArgs(
        type="AverageValue", average_value=f"{CPU_TARGET_MILLICORES * workers}m"
    )
    cpu = autoscaling.ResourceMetricSourceArgs(name="cpu", target=target)
    autoscaling.HorizontalPodAutoscaler(
        identity.logical(name),
        metadata=identity.metadata(name, name),
        spec=autoscaling.HorizontalPodAutoscalerSpecArgs(
            scale_target_ref=autoscaling.CrossVersionObjectReferenceArgs(
                api_version="apps/v1", kind="Deployment", name=name
            ),
            min_replicas=fewest,
            max_replicas=most,
            metrics=[autoscaling.MetricSpecArgs(type="Resource", resource=cpu)],
        ),
        opts=identity.options(parent),
    )


def without_autoscaler(identity: Identity, name: str, replicas: int) -> pulumi.Output[int]:
    """Return `replicas`, known once nobody else sets their number.

    Pulumi deletes last what a program no longer declares. Until then an autoscaler of before would
    set its own number once more, which nothing would set back.
    """

    async def remove(namespace: str) -> int:
        if not pulumi.runtime.is_dry_run():
            await asyncio.to_thread(_remove, identity.context, namespace, name, identity.stack)
        return replicas

    return identity.namespace.apply(remove)


def _remove(context: str, namespace: str, name: str, stack: str) -> None:
    """Delete the stack's autoscaler `name`, if there is one; another's stays."""
    try:
        api: Any = AutoscalingV2Api(ApiClient(configuration(context)))
        scalers = api.list_namespaced_horizontal_pod_autoscaler(
            namespace,
            field_selector=f"metadata.name={name}",
            label_selector=f"{LABEL_STACK}={stack}",
            _request_timeout=TIMEOUT_SECONDS,
        )
        for scaler in scalers.items:
            api.delete_namespaced_horizontal_pod_autoscaler(
                scaler.metadata.name, namespace, _request_timeout=TIMEOUT_SECONDS
            )
    except ApiException as error:
        if error.status != 404:
            raise pulumi.RunError(
                f"the autoscaler {name} of {namespace} cannot be removed: "
                f"{error.status} {error.reason}"
            ) from None
    except (HTTPError, OSError) as error:
        raise pulumi.RunError(
            f"the autoscaler {name} of {namespace} cannot be removed: the cluster does not answer "
            f"({type(error).__name__})"
        ) from None
