"""The processes of the MLflow replicas, compared before and after: did one restart?

On Kubernetes the containers of the pods stand for them: a replica with one worker, the usual one,
has no other process of its own, and of several workers the one that was started anew is not seen.
"""

from contextlib import closing
from typing import TYPE_CHECKING

from infra.outputs import Platform, Target
from workloads.target.pods import ClusterError, Pods

if TYPE_CHECKING:
    from docker.models.containers import Container


def processes(target: Target | None) -> dict[str, list[int | str]] | None:
    """Process ids by container of every MLflow replica; None where they cannot be seen.

    On Kubernetes, container ids by pod.
    """
    if target is None:
        return None
    if target.platform is Platform.KUBERNETES:
        return _containers(target)
    names = [c.container for c in target.components if c.kind == "mlflow"]
    if not names:
        return None
    import docker
    from docker.errors import DockerException

    try:
        with closing(docker.from_env()) as client:
            return {name: _descendants(client.containers.get(name)) for name in names}
    except DockerException:
        return None


def _containers(target: Target) -> dict[str, list[int | str]] | None:
    replicas = [c.name for c in target.components if c.kind == "mlflow"]
    try:
        pods = Pods(target).find()
    except ClusterError:
        return None
    if not pods.keys() >= set(replicas):
        return None
    return {
        pods[name].metadata.name: [
            status.container_id.rpartition("/")[2][:12]
            for status in pods[name].status.container_statuses
        ]
        for name in replicas
    }


def _descendants(container: "Container") -> list[int | str]:
    """Process ids of the container's own command and its children.

    What Docker runs beside them, as a health check, comes and goes and is no child of theirs.
    """
    top = container.top()
    titles: list[str] = top["Titles"]
    pid, parent = titles.index("PID"), titles.index("PPID")
    rows = [(int(row[pid]), int(row[parent])) for row in top["Processes"]]
    family = {int(container.attrs["State"]["Pid"])}
    while new := {p for p, its_parent in rows if its_parent in family} - family:
        family |= new
    return sorted(family)
