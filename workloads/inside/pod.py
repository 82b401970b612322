"""The pod of a load: how it is asked for, and why it may not come."""

from typing import Any

from infra.outputs import Target
from workloads.inside.files import NODE, PLAN_FOLDER, RESULTS
from workloads.pods import LABEL_COMPONENT, LABEL_STACK

NAME = "load"
"""Of the Job and of its ConfigMap: two loads at once would measure each other."""

USER = 10001
"""The image's own."""

STOP_S = 5
KEPT_S = 600
"""A Job that has ended and was not removed goes by itself."""

START_S = 600.0
"""A node may have to fetch the image, of 1 GB, first."""
ROOM_S = 60.0
"""A cluster that adds nodes by itself says before that it has no room."""

REMOVED = "it was removed while it loaded"

_HOPELESS = (
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
)


def manifest(target: Target, processes: int) -> dict[str, Any]:
    """Return the Job of a load of so many processes, as the restricted level asks for it."""
    assert target.cluster
    labels = {
        LABEL_STACK: target.stack,
        LABEL_COMPONENT: NAME,
        "app.kubernetes.io/name": NAME,
        "app.kubernetes.io/part-of": "mlflow-bench",
    }
    scratch = {"results": str(RESULTS), "scratch": "/tmp"}
    apart = {"labelSelector": {"matchLabels": {LABEL_STACK: target.stack}}}
    container = {
        "name": NAME,
        "image": target.cluster.load_image,
        "imagePullPolicy": "IfNotPresent",
        "env": [{"name": NODE, "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
        "resources": {"requests": {"cpu": "500m", "memory": f"{512 + 64 * processes}Mi"}},
        "volumeMounts": [
            *({"name": name, "mountPath": path} for name, path in scratch.items()),
            {"name": "plan", "mountPath": str(PLAN_FOLDER), "readOnly": True},
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
        # Where there is another node, the load takes nothing from what it measures.
        "affinity": {
            "podAntiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 100,
                        "podAffinityTerm": apart | {"topologyKey": "kubernetes.io/hostname"},
                    }
                ]
            }
        },
        "containers": [container],
        "volumes": [
            *({"name": name, "emptyDir": {}} for name in scratch),
            {"name": "plan", "configMap": {"name": NAME}},
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


def trouble(pod: Any, waited_s: float) -> str | None:
    """Return why a pod does not load, or not any more; None: it does, or may come to."""
    if pod.metadata.deletion_timestamp:
        return REMOVED
    states = [one.state for one in pod.status.container_statuses or []]
    if pod.status.phase in ("Failed", "Succeeded"):
        ended = next((one.terminated for one in states if one.terminated), None)
        why = pod.status.message or pod.status.reason or (ended and ended.reason) or "no reason"
        return f"it ended early ({why})"
    for waiting in (one.waiting for one in states if one.waiting):
        if waiting.reason in _HOPELESS:
            return f"{waiting.reason}: {waiting.message or 'no message'}"
    if pod.status.phase != "Pending":
        return None
    for one in pod.status.conditions or []:
        if one.type == "PodScheduled" and one.status == "False" and waited_s > ROOM_S:
            return f"no node has room for it: {one.message}"
    return f"it did not start within {START_S:.0f} s" if waited_s > START_S else None
