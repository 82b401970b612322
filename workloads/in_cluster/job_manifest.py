"""The Job of a load: its manifest, and why its pod fails."""

from typing import Any

from infra.labels import LABEL_COMPONENT, LABEL_STACK
from infra.outputs import Target
from workloads.in_cluster.pod_files import ACCESS_FOLDER, NODE, PLAN_FOLDER, RESULTS

NAME = "load"
"""Of the Job, its ConfigMap and Secret; one name, as two loads at once would measure each other."""

USER = 10001
"""User id of the image."""

STOP_S = 5
KEPT_S = 600
"""Lifetime of a finished Job that nobody removed."""

START_S = 600.0
"""A node may have to pull the image, of 1 GB, first."""
SCHEDULING_S = 60.0
"""An autoscaling cluster reports a lack of room before it adds a node."""

REMOVED = "it was removed while it loaded"

_HOPELESS = (
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)


def manifest(target: Target, processes: int, *, with_access: bool) -> dict[str, Any]:
    """Return the Job of a load, by the restricted Pod Security Standard.

    `with_access` mounts the Secret with what clients need to be let in.
    """
    assert target.cluster
    labels = {
        LABEL_STACK: target.stack,
        LABEL_COMPONENT: NAME,
        "app.kubernetes.io/name": NAME,
        "app.kubernetes.io/part-of": "mlflow-bench",
    }
    files: dict[str, dict[str, Any]] = {"plan": {"configMap": {"name": NAME}}}
    folders = {"plan": str(PLAN_FOLDER)}
    if with_access:
        # The group that the pod's user is in: nobody else has to read it.
        files["access"] = {"secret": {"secretName": NAME, "defaultMode": 0o440}}
        folders["access"] = str(ACCESS_FOLDER)
    scratch = {"results": str(RESULTS), "scratch": "/tmp"}
    same_stack = {"labelSelector": {"matchLabels": {LABEL_STACK: target.stack}}}
    container = {
        "name": NAME,
        "image": target.cluster.load_image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": NODE, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "resources": {"requests": {"cpu": "500m", "memory": f"{512 + 64 * processes}Mi"}},
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in scratch.items()),
            *(
                {"name": name, "mountPath": path, "readOnly": True}
                for name, path in folders.items()
            ),
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    pull = [{"name": name} for name in target.cluster.image_pull_secrets]
    pod = {
        "imagePullSecrets": pull,
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": STOP_S,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "runAsGroup": USER,
            "fsGroup": USER,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        # On another node, if there is one, the load takes nothing from what it measures.
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": same_stack | {"topologyKey": "kubernetes.io/hostname"},
                    }
                ]
            }
        },
        "containers": [container],
        "volumes": [
            *({"name": name, "emptyDir": {}} for name in scratch),
            *({"name": name, **source} for name, source in files.items()),
        ],
    }
    return {
        "metadata": {"name": NAME, "labels": labels},
        "spec": {
            "backoffLimit": 0,
            "ttlSecondsAfterFinished": KEPT_S,
            "template": {"metadata": {"labels": labels}, "spec": pod},
        },
    }


def failure_of(pod: Any, waited_s: float) -> str | None:
    """Return why a pod does not load; None if it does, or still may."""
    if pod.metadata.deletion_timestamp:
        return REMOVED
    states = [item.state for item in pod.status.container_statuses or []]
    if pod.status.phase in ("Failed", "Succeeded"):
        ended = next((item.terminated for item in states if item.terminated), None)
        why = pod.status.message or pod.status.reason or (ended and ended.reason) or "no reason"
        return f"it ended early ({why})"
    for waiting in (item.waiting for item in states if item.waiting):
        if waiting.reason in _HOPELESS:
            return f"{waiting.reason}: {waiting.message or 'no message'}"
    if pod.status.phase != "Pending":
        return None
    for item in pod.status.conditions or []:
        if item.type == "PodScheduled" and item.status == "False" and waited_s > SCHEDULING_S:
            return f"no node has room for it: {item.message}"
    return f"it did not start within {START_S:.0f} s" if waited_s > START_S else None
