"""The images that stacks are built from, made while the engine is still being compiled."""

import re
from collections.abc import Sequence
from pathlib import Path

from scripts.commands.setup import docker
from scripts.shared import ui
from scripts.shared.project import LOGS, ROOT
from scripts.shared.venv import PYTHON

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
        detail=step,
    )
    return f"those of {', '.join(stacks)} are there after {ui.elapsed(took)}"


def step(log: Path) -> str:
    """Return the image and the step that a build spoke of last, as `mlflow [nfs 2/5]`."""
    line = ui.last_line(log)
    match = re.match(r"mlflow-bench/(\w+):\w+: (\[[^]]*\]|Step \d+/\d+)?", line)
    return " ".join(filter(None, match.groups())) if match else line
