"""Whether containers are healthy at the end of an `up`."""

from typing import Any, cast

import docker
import pytest
from docker.errors import NotFound

from infra.docker import health

HEALTHY = {"Status": "running", "Health": {"Status": "healthy"}}
STARTING = {"Status": "running", "Health": {"Status": "starting"}}


class Containers:
    """Answers with each state in turn, with the last one for ever."""

    def __init__(self, *states: dict[str, Any]) -> None:
        self.states = list(states)
        self.containers = self

    def get(self, name: str) -> Any:
        if not self.states:
            raise NotFound(name)
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        return type("Container", (), {"attrs": {"State": state}})


@pytest.mark.parametrize(
    ("states", "said"),
    [
        ([HEALTHY], ""),
        ([STARTING, STARTING, HEALTHY], ""),
        ([STARTING], "is not healthy: docker logs one"),
        ([{"Status": "restarting", "Health": {"Status": "unhealthy"}}], "is not healthy"),
        ([{"Status": "exited", "Health": {"Status": "healthy"}}], "is exited; pulumi up --refresh"),
        ([{"Status": "paused", "Health": {"Status": "healthy"}}], "is paused"),
        ([], "is gone; pulumi up --refresh"),
    ],
)
def test_what_is_not_healthy_is_named(
    states: list[dict[str, Any]], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "LOOK_AGAIN_S", 0.001)
    client = cast(docker.DockerClient, Containers(*states))
    found = health.wait_until_healthy(client, ["one"], timeout_s=0.05)
    assert (said in found[0]) if said else found == []
