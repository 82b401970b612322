"""Waits until the pods of a workload are as declared.

Pulumi's provider does that for a new workload. For a changed one it may take the status of before
the change for the new one, and goes on at once, while the database restarts.
"""

import asyncio
import time
from typing import Any

import pulumi
from kubernetes.client import ApiClient, AppsV1Api
from kubernetes.client.exceptions import ApiException
from pulumi_kubernetes.apps.v1 import Deployment, StatefulSet
from pulumi_kubernetes.core.v1 import Service
from urllib3.exceptions import HTTPError

from infra.kubernetes.access import configuration

READ = {
    "deployment": "read_namespaced_deployment",
    "statefulset": "read_namespaced_stateful_set",
}
POLL_SECONDS = 0.5
TIMEOUT_SECONDS = 10


def rolled_out(
    context: str, workload: Deployment | StatefulSet, front: Service, timeout: int
) -> pulumi.Output[str]:
    """Return a workload's name, as `deployment/mlflow`, known once all its pods are ready.

    And once `front`, its Service, exists. It fails with `RunError` if they are not ready `timeout`
    seconds after the workload was declared.
    """
    kind = "deployment" if isinstance(workload, Deployment) else "statefulset"

    async def wait(values: list[Any]) -> str:
        name, namespace, _ = values
        if not pulumi.runtime.is_dry_run():
            await asyncio.to_thread(_wait, context, kind, namespace, name, timeout)
        return f"{kind}/{name}"

    metadata = workload.metadata
    return pulumi.Output.all(metadata.name, metadata.namespace, front.id).apply(wait)


def unfinished(workload: dict[str, Any]) -> str | None:
    """Return what the rollout of a Deployment or StatefulSet, as JSON, still lacks, or None.

    As `kubectl rollout status` judges it.
    """
    status, replicas = workload.get("status") or {}, workload["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < workload["metadata"]["generation"]:
        return "the cluster has not looked at it yet"
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    ready = status.get("readyReplicas", 0)
    if updated < replicas:
        return f"{updated} of {replicas} pods are as declared"
    if total > replicas:
        return f"{total - replicas} pods of before are still there"
    return None if ready >= replicas else f"{ready} of {replicas} pods are ready"


def _wait(context: str, kind: str, namespace: str, name: str, timeout: int) -> None:
    deadline = time.monotonic() + timeout
    client: Any = None
    while True:
        try:
            client = client or AppsV1Api(ApiClient(configuration(context)))
            read = getattr(client, READ[kind])
            workload = read(name, namespace, _request_timeout=TIMEOUT_SECONDS)
            missing = unfinished(ApiClient().sanitize_for_serialization(workload))
        except ApiException as error:
            client, missing = None, f"the cluster refuses: {error.status} {error.reason}"
        except (HTTPError, OSError) as error:
            client, missing = None, f"the cluster does not answer: {type(error).__name__}"
        if missing is None:
            return
        if time.monotonic() > deadline:
            raise pulumi.RunError(
                f"{kind}/{name} of {namespace}: {missing}, {timeout} s after it was declared; "
                "./scripts/doctor says why"
            )
        time.sleep(POLL_SECONDS)
