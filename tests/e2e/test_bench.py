"""`scripts/bench` as a person runs it: a fresh clone, from nothing to a verdict to nothing."""

import json
import os
import subprocess
from pathlib import Path

import docker
import pytest

from tests.e2e.stack import ROOT, Stack, free_port

pytestmark = pytest.mark.e2e

GOOD, INVALID = 0, 3


def test_a_clone_gets_a_verdict_and_leaves_nothing(
    tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    # A stack of its own, which no deployment of a person can meet.
    stack = Stack("e2e-bench", tmp_path, free_port())
    preset = (clone / "stacks/Pulumi.local.yaml").read_text()
    assert '"5000"' in preset
    named = clone / f"stacks/Pulumi.{stack.name}.yaml"
    named.write_text(preset.replace('"5000"', f'"{stack.port}"'))
    own = ("PULUMI_", "VIRTUAL_ENV")
    done = subprocess.run(
        [clone / "scripts/bench", stack.name],
        cwd=clone,
        env={key: value for key, value in os.environ.items() if not key.startswith(own)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    # Other work on the machine makes a run invalid, which is right; nothing may be lost or fail.
    assert done.returncode in (GOOD, INVALID), done.stdout
    assert stack.left(docker_client) == []
    result = json.loads((clone / "results/latest/result.json").read_text())
    assert result["durability"]["verdict"] == "pass"
    assert (clone / "results/latest/report.html").exists()
    times = json.loads((clone / "results/latest/deploy.json").read_text())
    assert set(times) == {"up_s", "destroy_s"}
