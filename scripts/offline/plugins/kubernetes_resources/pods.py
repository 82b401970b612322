"""Why a pod does not come up, in words."""

from collections.abc import Iterator
from dataclasses import dataclass

from .connection import Body, Connection

LOG_LINES = 5

# Reasons of a waiting container that time alone does not mend.
FATAL = (
    "CreateContainerConfigError",
    "CreateContainerError",
    "ErrImageNeverPull",
    "ErrImagePull",
    "ImagePullBackOff",
    "InvalidImageName",
)
CRASHES = 3


@dataclass(frozen=True)
class Trouble:
    """What keeps a workload from coming up; `fatal` when waiting is of no use."""

    text: str
    fatal: bool


def troubles(connection: Connection, owner: Body, selector: dict[str, str]) -> list[Trouble]:
    """Everything that is wrong with an object's pods, and with making them; worst first."""
    namespace = owner["metadata"]["namespace"]
    found = list(_refused(connection, owner))
    labels = ",".join(f"{key}={value}" for key, value in sorted(selector.items()))
    for pod in connection.find("v1", "Pod", namespace, labels) if labels else []:
        if not pod["metadata"].get("deletionTimestamp"):
            found += pod_troubles(connection, pod)
    return sorted(dict.fromkeys(found), key=lambda one: not one.fatal)


def pod_troubles(connection: Connection, pod: Body) -> Iterator[Trouble]:
    """Everything that is wrong with one pod."""
    name = f"pod {pod['metadata']['name']}"
    status = pod.get("status") or {}
    for condition in status.get("conditions") or []:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            yield Trouble(f"{name}: not scheduled: {condition.get('message', '')}", fatal=False)
    unready = False
    for kind in ("initContainerStatuses", "containerStatuses"):
        for one in status.get(kind) or []:
            waiting = one["state"].get("waiting") or {}
            cause = waiting.get("reason", "")
            ended = one["state"].get("terminated") or (one.get("lastState") or {}).get("terminated")
            where = f"{name}: container {one['name']}"
            if cause in FATAL:
                yield Trouble(f"{where}: {cause}: {waiting.get('message', '')}", fatal=True)
            elif ended and ended.get("exitCode"):
                crashed = cause == "CrashLoopBackOff" and one["restartCount"] >= CRASHES
                previous = not one["state"].get("terminated")
                text = connection.log_end(pod, one["name"], LOG_LINES, previous=previous)
                yield Trouble(
                    f"{where}: ended with {ended['exitCode']} ({ended.get('reason', '')}), "
                    f"{one['restartCount']} restarts{_log(text)}",
                    fatal=crashed,
                )
            elif one["state"].get("running") and not one["ready"]:
                unready = True
    if unready and (probe := _last_event(connection, pod, "Unhealthy")):
        yield Trouble(f"{name}: not ready: {probe}", fatal=False)


def _refused(connection: Connection, owner: Body) -> Iterator[Trouble]:
    """Pods that the API server did not even take, as for a violated Pod Security level."""
    for condition in (owner.get("status") or {}).get("conditions") or []:
        if condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            yield Trouble(condition.get("message", "pods are refused"), fatal=True)
    if message := _last_event(connection, owner, "FailedCreate"):
        yield Trouble(message, fatal="forbidden" in message)


def _last_event(connection: Connection, body: Body, cause: str) -> str:
    metadata = body["metadata"]
    selector = f"involvedObject.uid={metadata['uid']},reason={cause}"
    events = connection.find("v1", "Event", metadata["namespace"], selector, fields=True)
    return str(events[-1]["message"]).strip() if events else ""


def _log(text: str) -> str:
    lines = "".join(f"\n  {line}" for line in text.splitlines())
    return f"; end of its log:{lines}" if lines else "; it logged nothing"
