"""Waits until the pods of a workload are as they were declared.

Pulumi's plugin does so for a new workload. Of a changed one it may take the status from before the
change, which comes first, for that after it: it goes on at once, while the database restarts.
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
LOOK_SECONDS = 0.5
TIMEOUT_SECONDS = 10


def rolled_out(
    context: str, workload: Deployment | StatefulSet, front: Service, patience_s: int
) -> pulumi.Output[str]:
    """Return a workload's name, as `deployment/mlflow`, known once all its pods are ready.

    It is known after `front`, its Service, too. It ends the program with `RunError` when they are
    not `patience_s` seconds after the workload was declared.
    """
    kind = "deployment" if isinstance(workload, Deployment) else "statefulset"

    async def wait(known: list[Any]) -> str:
        name, namespace, _ = known
        if not pulumi.runtime.is_dry_run():
            await asyncio.to_thread(_wait, context, kind, namespace, name, patience_s)
        return f"{kind}/{name}"

    metadata = workload.metadata
    return pulumi.Output.all(metadata.name, metadata.namespace, front.id).apply(wait)


def lacking(live: dict[str, Any]) -> str | None:
    """Return what a Deployment or StatefulSet, as its API gives it, lacks; None: nothing."""
    status, wanted = live.get("status") or {}, live["spec"].get("replicas", 1)
    if status.get("observedGeneration", 0) < live["metadata"]["generation"]:
        return "the cluster has not looked at it yet"
    updated, all_ = status.get("updatedReplicas", 0), status.get("replicas", 0)
    ready = status.get("readyReplicas", 0)
    if updated < wanted:
        return f"{updated} of {wanted} pods are as declared"
    if all_ > wanted:
        return f"{all_ - wanted} pods of before are still there"
    return None if ready >= wanted else f"{ready} of {wanted} pods are ready"


def _wait(context: str, kind: str, namespace: str, name: str, patience_s: int) -> None:
    end = time.monotonic() + patience_s
    client: Any = None
    while True:
        try:
            client = client or AppsV1Api(ApiClient(configuration(context)))
            found = getattr(client, READ[kind])(name, namespace, _request_timeout=TIMEOUT_SECONDS)
            missing = lacking(ApiClient().sanitize_for_serialization(found))
        except ApiException as error:
            client, missing = None, f"the cluster refuses: {error.status} {error.reason}"
        except (HTTPError, OSError) as error:
            client, missing = None, f"the cluster does not answer: {type(error).__name__}"
        if missing is None:
            return
        if time.monotonic() > end:
            raise pulumi.RunError(
                f"{kind}/{name} of {namespace}: {missing}, {patience_s} s after it was declared; "
                "./scripts/doctor says why"
            )
        time.sleep(LOOK_SECONDS)
