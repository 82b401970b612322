"""Leftovers of a killed run: faults that are still in effect, recognised and healed."""

import time
from collections.abc import Iterator

from docker.errors import DockerException, NotFound

from infra.outputs import Component, Platform, Target
from workloads import CannotRunError, error_summary
from workloads.faults import toxiproxy
from workloads.faults.disk import DiskFull
from workloads.faults.fault import FaultError
from workloads.faults.on_container import connect, is_ready
from workloads.faults.zone import ZoneCut

READY_S = 180.0


def heal(target: Target | None) -> list[str]:
    """Heal what is in effect, and wait until all components are ready; returns a line for each.

    Raises `CannotRunError` if it cannot be healed.
    """
    if target is None or target.platform is not Platform.DOCKER:
        return []
    try:
        healed = list(_heal(target))
        if healed:
            _wait(target)
    except (DockerException, FaultError, OSError) as error:
        raise CannotRunError(
            f"a fault of an earlier run is left in {target.stack} and cannot be healed: "
            f"{error_summary(error)}; run pulumi destroy and up"
        ) from None
    return healed


def _heal(target: Target) -> Iterator[str]:
    if toxiproxy.remove(target):
        yield "the proxy in front of the stack was removed"
    for component in target.components:
        yield from _container(component)
    if len(target.zones) > 1:
        cut = ZoneCut(target)
        if cut.left():
            cut.heal()
            yield f"zone {target.zones[-1].name} was connected again"
    for component in target.components:
        if component.kind == "postgres":
            full = DiskFull(target, component)
            if full.state()["Running"] and full.left():
                full.heal()
                yield "the file that filled PostgreSQL's disk was removed"


def _container(component: Component) -> Iterator[str]:
    """Let a container go on that is paused, start one that was stopped."""
    try:
        container = connect().containers.get(component.container)
    except NotFound:
        return  # not a fault of ours: the stack itself is broken, and the run will say so
    if container.status == "paused":
        container.unpause()
        yield f"{component.name} was paused, and goes on"
    elif container.status in ("exited", "created"):
        container.start()
        yield f"{component.name} was stopped, and is started"


def _wait(target: Target) -> None:
    client = connect()
    end = time.monotonic() + READY_S
    for component in target.components:
        while not is_ready(client.containers.get(component.container)):
            if time.monotonic() > end:
                raise FaultError(f"{component.name} is not ready after {READY_S:.0f} s")
            time.sleep(0.5)
