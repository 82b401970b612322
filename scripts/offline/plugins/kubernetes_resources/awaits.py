"""When an object is ready, by kind, from its status (API reference, `.status` of each kind)."""

import time
from collections.abc import Callable
from typing import Any

from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call

from . import pods
from .connection import Body, Connection

# Without a custom timeout, in seconds; the official plugin's own.
PATIENCE = 600.0
DELETE_PATIENCE = 300.0
# How long a reason that time does not mend must last before it is believed.
FATAL_SECONDS = 5.0
# What is left of an operation's time when it says why it is not done.
LAST_SECONDS = 1.5

Verdict = str | None
"""What is still missing, in words; None: nothing."""


def until_ready(call: Call, connection: Connection, body: Body) -> Body:
    """Wait until an object is what it is to be; return it.

    Raises RefusedError, with what is wrong with its pods, when it fails or takes too long.
    """
    judge = JUDGES.get((body["apiVersion"].rpartition("/")[0], body["kind"]))
    start = time.monotonic()
    fatal_since: float | None = None
    while True:
        live = connection.get(body)
        if live is None:
            raise RefusedError("it was removed while it was waited for")
        if judge is None:
            return live
        missing = judge(connection, live)
        if missing is None:
            return live
        waited = time.monotonic() - start
        found = _troubles(connection, live) if waited > 1 else []
        text = "; ".join([missing, *(one.text for one in found)])
        if any(one.fatal for one in found):
            fatal_since = fatal_since or time.monotonic()
            if time.monotonic() - fatal_since > FATAL_SECONDS:
                raise RefusedError(text)
        else:
            fatal_since = None
        if call.remaining(PATIENCE) < LAST_SECONDS:
            raise RefusedError(f"not ready after {waited:.0f} s: {text}")
        call.status(text.splitlines()[0])
        call.sleep(0.2 if waited < 5 else 1.0)


def until_gone(call: Call, connection: Connection, body: Body, uid: str) -> None:
    """Wait until an object, with all that depends on it, no longer exists."""
    start = time.monotonic()
    while (live := connection.get(body)) is not None and live["metadata"]["uid"] == uid:
        waited = time.monotonic() - start
        holders = live["metadata"].get("finalizers") or []
        if call.remaining(DELETE_PATIENCE) < LAST_SECONDS:
            raise RefusedError(
                f"still there after {waited:.0f} s"
                + (f", held by its finalizers {', '.join(holders)}" if holders else "")
            )
        call.status("waiting for its end")
        call.sleep(0.2 if waited < 5 else 1.0)


def _troubles(connection: Connection, live: Body) -> list[pods.Trouble]:
    if live["kind"] == "Pod" and live["apiVersion"] == "v1":
        return list(pods.pod_troubles(connection, live))
    if live["apiVersion"] not in ("apps/v1", "batch/v1"):
        return []
    selector = (live["spec"].get("selector") or {}).get("matchLabels") or {}
    return pods.troubles(connection, live, selector)


def _conditions(live: Body) -> dict[str, Body]:
    return {one["type"]: one for one in (live.get("status") or {}).get("conditions") or []}


def _observed(live: Body) -> dict[str, Any]:
    """The status, if it speaks of the object as it is now."""
    status: dict[str, Any] = live.get("status") or {}
    return status if status.get("observedGeneration") == live["metadata"]["generation"] else {}


def _deployment(connection: Connection, live: Body) -> Verdict:
    status, wanted = _observed(live), live["spec"].get("replicas", 1)
    progress = _conditions(live).get("Progressing", {})
    if status and progress.get("reason") == "ProgressDeadlineExceeded":
        raise RefusedError(_with_troubles(connection, live, progress["message"]))
    updated, all_ = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    if status and updated == wanted and all_ == updated and available >= wanted:
        return None
    return f"{min(available, updated)} of {wanted} replicas updated and available"


def _stateful_set(connection: Connection, live: Body) -> Verdict:
    status, wanted = _observed(live), live["spec"].get("replicas", 1)
    ready = status.get("readyReplicas", 0)
    current = status.get("currentRevision") == status.get("updateRevision")
    if status and ready == wanted and status.get("updatedReplicas", 0) == wanted and current:
        return None
    return f"{ready} of {wanted} replicas ready"


def _daemon_set(connection: Connection, live: Body) -> Verdict:
    status = _observed(live)
    wanted = status.get("desiredNumberScheduled")
    ready, updated = status.get("numberReady", 0), status.get("updatedNumberScheduled", 0)
    if status and wanted == ready == updated:
        return None
    return f"{ready} of {wanted} pods ready"


def _job(connection: Connection, live: Body) -> Verdict:
    conditions = _conditions(live)
    failed = conditions.get("Failed", {})
    if failed.get("status") == "True":
        raise RefusedError(_with_troubles(connection, live, f"the job failed: {failed['message']}"))
    if conditions.get("Complete", {}).get("status") == "True":
        return None
    return "running"


def _pod(connection: Connection, live: Body) -> Verdict:
    phase = live["status"].get("phase")
    if phase == "Failed":
        raise RefusedError(_with_troubles(connection, live, "the pod failed"))
    ready = _conditions(live).get("Ready", {}).get("status") == "True"
    return None if ready or phase == "Succeeded" else f"{phase}, not ready"


def _claim(connection: Connection, live: Body) -> Verdict:
    phase = live["status"].get("phase")
    if phase == "Bound" or _binds_on_use(connection, live):
        return None
    if phase == "Lost":
        raise RefusedError("its volume is gone")
    return f"{phase}: no volume yet"


def _binds_on_use(connection: Connection, live: Body) -> bool:
    name = live["spec"].get("storageClassName")
    if not name:
        return False
    body = {"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": name}}
    found = connection.get(body) or {}
    return found.get("volumeBindingMode") == "WaitForFirstConsumer"


def _service(connection: Connection, live: Body) -> Verdict:
    spec = live["spec"]
    if spec.get("type") == "LoadBalancer":
        return _addressed(connection, live)
    if spec.get("type") == "ExternalName" or not spec.get("selector"):
        return None
    if spec.get("clusterIP") == "None":
        return None
    metadata = live["metadata"]
    slices = connection.find(
        "discovery.k8s.io/v1",
        "EndpointSlice",
        metadata["namespace"],
        f"kubernetes.io/service-name={metadata['name']}",
    )
    ready = [
        endpoint
        for one in slices
        for endpoint in one.get("endpoints") or []
        if (endpoint.get("conditions") or {}).get("ready")
    ]
    return None if ready else "no ready pod behind it"


def _addressed(connection: Connection, live: Body) -> Verdict:
    balancer = (live.get("status") or {}).get("loadBalancer") or {}
    return None if balancer.get("ingress") else "no address yet"


def _namespace(connection: Connection, live: Body) -> Verdict:
    phase = (live.get("status") or {}).get("phase")
    return None if phase == "Active" else str(phase)


def _with_troubles(connection: Connection, live: Body, text: str) -> str:
    return "; ".join([text, *(one.text for one in _troubles(connection, live))])


JUDGES: dict[tuple[str, str], Callable[[Connection, Body], Verdict]] = {
    ("apps", "DaemonSet"): _daemon_set,
    ("apps", "Deployment"): _deployment,
    ("apps", "StatefulSet"): _stateful_set,
    ("batch", "Job"): _job,
    ("networking.k8s.io", "Ingress"): _addressed,
    ("", "Namespace"): _namespace,
    ("", "PersistentVolumeClaim"): _claim,
    ("", "Pod"): _pod,
    ("", "Service"): _service,
}
"""By API group and kind; an object of any other kind is ready when it exists."""
