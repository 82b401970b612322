"""Whether the containers of a deployment are healthy, when all has been created.

The plugin waits for a container that it creates; one that did not become healthy stays, and is
taken for created by the next `up`.
"""

import time
from collections.abc import Iterable

import docker
from docker.errors import NotFound

LOOK_AGAIN_S = 1.0

_STARTING = ("running", "restarting")


def wait_until_healthy(
    client: docker.DockerClient, containers: Iterable[str], timeout_s: float
) -> list[str]:
    """Wait until each of `containers` is healthy; return a line for each that is not by then.

    One that is stopped is not waited for.
    """
    deadline = time.monotonic() + timeout_s
    problems = (_wait(client, name, deadline) for name in containers)
    return [problem for problem in problems if problem]


def _wait(client: docker.DockerClient, name: str, deadline: float) -> str:
    while True:
        try:
            state = client.containers.get(name).attrs["State"]
        except NotFound:
            return f"container {name} is gone; pulumi up --refresh makes it anew"
        if state.get("Health", {}).get("Status") == "healthy" and state["Status"] == "running":
            return ""
        if state["Status"] not in _STARTING:
            return f"container {name} is {state['Status']}; pulumi up --refresh starts it"
        if time.monotonic() > deadline:
            return f"container {name} is not healthy: docker logs {name}, or ./scripts/doctor"
        time.sleep(LOOK_AGAIN_S)
