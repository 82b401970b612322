"""`scripts/bench --compare --resume` as a person runs it: a stack that fails, one that does not."""

import json
import os
import subprocess
from pathlib import Path

import docker
import pytest

from scripts.commands.bench.comparison.schedule import Plan, Step
from tests.e2e.stack import ROOT, Stack, forget
from tests.ports import free_port
from workloads.comparison.layout import PLAN, PROGRESS

pytestmark = pytest.mark.e2e

QUICKLY = Step("metrics", ("--scenario", "metrics", "--users", "2", "--duration", "1"))


def test_a_failed_stack_is_told_and_the_next_is_deployed_tested_and_removed(
    tmp_path: Path, docker_client: docker.DockerClient
) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    broken = Stack("e2e-compare-broken", tmp_path, free_port())
    whole = Stack("e2e-compare", tmp_path, free_port())
    forget(broken.name)
    forget(whole.name)
    for stack, more in ((broken, 'nginx_image: "none:latest"'), (whole, 'zones: "1"')):
        text = f'config:\n  mlflow-bench:port: "{stack.port}"\n  mlflow-bench:{more}\n'
        (clone / f"stacks/Pulumi.{stack.name}.yaml").write_text(text)
    folder = clone / "results" / "20260102T030405Z-compare"
    folder.mkdir(parents=True)
    plan = Plan(
        profile="quick",
        baseline=whole.name,
        blocks=((broken.name, whole.name),),
        left_out={},
        steps=(QUICKLY,),
        seed=1,
        seeds=(1,),
        started="2026-01-02T03:04:05+00:00",
    )
    plan.save(folder)  # as an interrupted comparison leaves it
    own = ("PULUMI_", "VIRTUAL_ENV")
    done = subprocess.run(
        [clone / "scripts/bench", "--compare", "--resume", "--must-survive", "zone"],
        cwd=clone,
        env={key: value for key, value in os.environ.items() if not key.startswith(own)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=400,
    )
    assert broken.left(docker_client) + whole.left(docker_client) == []
    assert done.returncode == 2, done.stdout  # a stack could not run
    lines = [json.loads(line) for line in (folder / PROGRESS).read_text().splitlines()]
    failed, good = [line for line in lines if line["event"] == "ended"]
    assert "pulumi up failed" in failed["error"]
    assert failed["runs"] == {}
    assert good["error"] is None
    assert good["times"].keys() == {"up_s", "noop_s", "destroy_s"}
    assert (folder / good["folder"] / "metrics" / "report.html").exists()
    assert (folder / PLAN).exists()
    for said in (
        "going on with the next",
        f"{broken.name}, block 1: pulumi up failed",
        "names no version",  # what the engine said of it
        "None of these stacks meets every need",
        "page: results/20260102T030405Z-compare/comparison.html",
    ):
        assert said in done.stdout, done.stdout
    page = (folder / "comparison.html").read_text()
    assert f'href="{good["folder"]}/metrics/report.html"' in page
