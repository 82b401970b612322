"""The processes of the MLflow replicas, looked at before and after: did one restart?"""

from contextlib import closing
from typing import TYPE_CHECKING

from infra.outputs import Platform, Target

if TYPE_CHECKING:
    from docker.models.containers import Container


def processes(target: Target | None) -> dict[str, list[int]] | None:
    """Process ids by container of every MLflow replica; None where they cannot be seen."""
    if target is None or target.platform is not Platform.DOCKER:
        return None
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


def _descendants(container: "Container") -> list[int]:
    """Process ids of the container's own command and its children.

    What Docker runs beside them, as a health check, comes and goes and is no child of theirs.
    """
    top = container.top()
    titles: list[str] = top["Titles"]
    pid, parent = titles.index("PID"), titles.index("PPID")
    rows = [(int(row[pid]), int(row[parent])) for row in top["Processes"]]
    found = {int(container.attrs["State"]["Pid"])}
    while new := {p for p, its_parent in rows if its_parent in found} - found:
        found |= new
    return sorted(found)
