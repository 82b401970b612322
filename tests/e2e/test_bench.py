"""`scripts/bench` as a person runs it: a fresh clone, from nothing to a verdict to nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import groupby
from pathlib import Path

import docker
import pytest
from mlflow import MlflowClient

from infra import releases
from scripts.offline.test_cluster import lifecycle
from tests.e2e.stack import ROOT, Stack, forget
from tests.kubernetes_cluster import get
from tests.ports import free_port

pytestmark = pytest.mark.e2e

GOOD, BAD, INVALID = 0, 1, 3
BESIDE_OTHER_WORK = {"local", "multi-az"}
"""Stacks whose verdict has to come, and to be the same, with another busy process on each core."""
PRESETS = sorted(path.name.split(".")[1] for path in (ROOT / "stacks").glob("Pulumi.*.yaml"))


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = tmp_path_factory.mktemp("bench") / "clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    return clone


def bench(clone: Path, stack: str) -> tuple[int, str]:
    return run(clone, "scripts/bench", stack)


def run(clone: Path, *argv: str) -> tuple[int, str]:
    own = ("PULUMI_", "VIRTUAL_ENV")
    done = subprocess.run(
        argv,
        cwd=clone,
        env={key: value for key, value in os.environ.items() if not key.startswith(own)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=900,
    )
    return done.returncode, done.stdout


@contextmanager
def busy() -> Iterator[None]:
    """Keep every core of this machine busy with something else."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(os.cpu_count() or 1)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


@pytest.mark.quiet
@pytest.mark.parametrize("preset", PRESETS)
def test_a_clone_gets_a_verdict_and_leaves_nothing(
    preset: str, clone: Path, docker_client: docker.DockerClient
) -> None:
    # A stack of its own, which no deployment of a person can meet.
    stack = Stack(f"e2e-bench-{preset}", clone.parent, free_port())
    forget(stack.name)
    settings = (clone / f"stacks/Pulumi.{preset}.yaml").read_text()
    assert '"5000"' in settings
    named = clone / f"stacks/Pulumi.{stack.name}.yaml"
    named.write_text(settings.replace('"5000"', f'"{stack.port}"'))
    with busy() if preset in BESIDE_OTHER_WORK else nullcontext():
        status, output = bench(clone, stack.name)
    assert stack.left(docker_client) == []
    if "kubernetes" in settings and lifecycle.status()[0]:
        left = [one["metadata"]["name"] for one in get("namespaces", "default")]
        assert f"mlflow-bench-{stack.name}" not in left
    assert status == GOOD, output
    result = json.loads((clone / "results/latest/result.json").read_text())
    assert result["durability"]["verdict"] == "pass"
    assert (clone / "results/latest/report.html").exists()
    times = json.loads((clone / "results/latest/deploy.json").read_text())
    assert set(times) == {"up_s", "destroy_s"}


def test_what_a_person_deployed_stays_with_its_data_until_they_say_otherwise(
    clone: Path, docker_client: docker.DockerClient
) -> None:
    stack = Stack("e2e-bench-mine", clone.parent, free_port())
    forget(stack.name)
    text = f'config:\n  mlflow-bench:port: "{stack.port}"\n'
    (clone / f"stacks/Pulumi.{stack.name}.yaml").write_text(text)
    up = f". scripts/activate; pulumi up --yes --non-interactive --skip-preview -s {stack.name}"
    try:
        status, output = run(clone, "bash", "-c", up)
        assert status == 0, output
        client = MlflowClient(f"http://127.0.0.1:{stack.port}")
        client.create_experiment("mine")
        before = set(stack.left(docker_client))
        status, output = bench(clone, stack.name)
        assert status in (GOOD, BAD, INVALID), output  # the verdict is that of a busy machine
        assert "it is brought up to date and tested, and is kept" in output
        assert set(stack.left(docker_client)) == before
        assert client.get_experiment_by_name("mine")
        out = clone / "ci"
        argv = ("scripts/ci", stack.name, "--remove", "--out", str(out))
        status, output = run(clone, *argv)
        assert status in (GOOD, BAD, INVALID), output
        assert stack.left(docker_client) == []
        assert {path.name for path in out.iterdir()} >= {"preview.md", "report.html", "result.json"}
    finally:
        forget(stack.name)


@pytest.mark.thorough
def test_an_upgrade_under_load_its_way_back_and_a_killed_one_lose_nothing(
    clone: Path, docker_client: docker.DockerClient
) -> None:
    old, new = releases.supported()[0], releases.pinned()
    stack = Stack("e2e-bench-upgrade", clone.parent, free_port())
    forget(stack.name)
    text = f'config:\n  mlflow-bench:port: "{stack.port}"\n'
    (clone / f"stacks/Pulumi.{stack.name}.yaml").write_text(text)
    argv = ("scripts/bench", stack.name, "--scenario", "upgrade", "--from", old, "--to", new)
    status, output = run(clone, *argv, "--back", "--kills", "1")
    assert stack.left(docker_client) == []
    assert status in (GOOD, BAD, INVALID), output  # times are those of a busy machine
    [folder] = (clone / "results").glob(f"*-{stack.name}-upgrade")
    seen = json.loads((folder / "upgrade.json").read_text())
    assert seen["problems"] == []
    assert seen["missing"] == []
    assert seen["job"]["action"] == "upgraded"
    served = [span["release"] for span in seen["serves"] if span["release"]]
    assert [release for release, _ in groupby(served)] == [old, new]
    assert seen["users"]["durability"]["acknowledged"] > 0
    assert seen["users"]["durability"]["lost"] == 0
    assert set(seen["users"]["changes"]) == {"backup", "upgrade"}
    assert len(seen["way_back"]) == 3
    [kill] = seen["killed"]
    assert kill["trouble"] == ""
    assert kill["finished"] == new
