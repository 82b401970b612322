"""The containers of a stack, as faults reach them through the Docker API."""

from typing import TYPE_CHECKING, Any

from infra.outputs import Component, Target
from workloads.faults.fault import FaultError, Injection

if TYPE_CHECKING:
    import docker
    from docker.models.containers import Container

CALL_S = 90
"""Patience with the Docker API: a graceful stop takes as long as the container is given."""


def connect() -> "docker.DockerClient":
    """Return a client of the machine's Docker; raises `DockerException`."""
    import docker

    return docker.from_env(timeout=CALL_S)


class OnContainer(Injection):
    """A fault on one container. Healed means: it runs, and its own readiness check passes."""

    def __init__(self, target: Target, component: Component | None) -> None:
        assert component is not None
        self.target = target
        self.component = component
        self.client = connect()
        self.container: Container = self.client.containers.get(component.container)
        self.began = str(self.state()["StartedAt"])

    def state(self) -> dict[str, Any]:
        """Docker's `State` of the container, as it is now."""
        self.container.reload()
        state: dict[str, Any] = self.container.attrs["State"]
        return state

    def restarted(self) -> bool:
        """Whether it is not the run of before any more."""
        state = self.state()
        return not state["Running"] or state["StartedAt"] != self.began

    def healed(self) -> bool:
        """Whether it runs and is ready."""
        return is_ready(self.container)


def is_ready(container: "Container") -> bool:
    """Whether a container runs, and the check that its image has for that passes now."""
    from docker.errors import APIError

    container.reload()
    state = container.attrs["State"]
    if not state["Running"] or state["Paused"] or state["Restarting"]:
        return False
    check = container.attrs["Config"].get("Healthcheck", {}).get("Test") or ["CMD", "true"]
    try:
        code, _ = container.exec_run(check[1:])
    except APIError:
        return False  # it ended in between
    return bool(code == 0)


def shell(container: "Container", script: str, user: str = "") -> str:
    """Run a bash script in a container and return what it printed.

    Raises `FaultError` with its last words if it fails.
    """
    code, both = container.exec_run(["bash", "-c", script], user=user, demux=True)
    assert isinstance(both, tuple)
    printed, complaint = [(stream or b"").decode(errors="replace").strip() for stream in both]
    if code != 0:
        last = complaint.splitlines()[-1] if complaint else "no word"
        raise FaultError(f"{container.name}: {last}")
    return printed
