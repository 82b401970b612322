"""What is found of real containers, networks and volumes."""

import json
import subprocess
import uuid

from infra.labels import LABEL_COMPONENT, LABEL_DEPLOYMENT, LABEL_STACK
from scripts.commands.doctor import stacks
from scripts.shared import project
from scripts.stack import leftovers
from tests.unit.scripts.commands.doctor.test_doctor import LINES


def test_a_real_container_that_failed_is_explained() -> None:
    """It logged a line of a known cause and ended, as a broken server does."""
    stack = f"doctor-{uuid.uuid4().hex[:6]}"
    run = ["docker", "run", "--name", stack, "--label", f"{LABEL_STACK}={stack}"]
    run += ["--label", f"{LABEL_COMPONENT}=mlflow", "--restart", "unless-stopped"]
    script = f"echo {json.dumps(LINES['password'])}; sleep 60"
    try:
        subprocess.run(
            [*run, "-d", project.BASE_IMAGE, "sh", "-c", script], check=True, capture_output=True
        )
        subprocess.run(["docker", "pause", stack], check=True, capture_output=True)
        found = [finding for finding in stacks.check([stack]) if not finding.good]
    finally:
        subprocess.run(["docker", "rm", "-f", stack], check=True, capture_output=True)
    assert len(found) == 2
    assert found[0].seen == "mlflow is paused"
    assert "has another password" in found[1].why
    assert stack in found[1].remedy


def test_what_docker_still_has_is_removed_and_named() -> None:
    deployment = uuid.uuid4().hex[:8]
    name = f"mlflow-bench-test-{deployment}"
    label = f"{LABEL_DEPLOYMENT}={deployment}"
    for kind in ("network", "volume"):
        subprocess.run(["docker", kind, "create", "--label", label, name], check=True, stdout=-3)
    assert list(leftovers.remove_labelled(frozenset({deployment}))) == [
        f"network {name}",
        f"volume {name}",
    ]
    assert list(leftovers.remove_labelled(frozenset({deployment}))) == []
