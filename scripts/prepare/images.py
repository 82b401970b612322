"""The images that stacks are built from, made while the engine is still being compiled."""

from collections.abc import Sequence

from scripts.prepare import docker, ui
from scripts.prepare.pins import LOGS, ROOT
from scripts.prepare.venv import PYTHON

PART = "images"


def build(stacks: Sequence[str]) -> str:
    """Build what these stacks ask for and the engine does not have; say how long it took."""
    address = docker.host()
    took = ui.run(
        PART,
        f"building the images of {', '.join(stacks)}",
        [PYTHON, "-m", "infra.docker.ahead", *stacks],
        log=LOGS / "images.log",
        env={"DOCKER_HOST": address} if address else None,
        cwd=ROOT,
        detail=ui.last_line,
    )
    return f"those of {', '.join(stacks)} are there after {ui.elapsed(took)}"
