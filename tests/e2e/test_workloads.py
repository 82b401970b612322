"""A scenario against a deployed stack with users: what only a stack shows of itself."""

import json
from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from tests.e2e.stack import Stack, deployed
from workloads.verdict.result import DurabilityVerdict, Result

pytestmark = pytest.mark.e2e

PREFIX = "mlflow-bench-e2e-load-"


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("load")
    with deployed("e2e-load", folder, docker_client, auth="basic") as stack:
        yield stack


@pytest.fixture(scope="module")
def result(
    stack: Stack, tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Result:
    """A quarter of a core for the tracking server, which gives out then also beside other tests."""
    docker_client.containers.get(PREFIX + "mlflow-a-1").update(cpu_period=100_000, cpu_quota=25_000)
    folder = tmp_path_factory.mktemp("results") / "run"
    stack.workload(folder, "--scenario", "metrics", "--users", "4", "--duration", "8")
    _no_secret_in(folder, stack)
    return Result.model_validate_json((folder / "result.json").read_text())


def _no_secret_in(folder: Path, stack: Stack) -> None:
    outputs = stack.outputs()
    for secret in (outputs["audit_secrets"]["database_password"], outputs["admin_password"]):
        assert len(secret) > 10
        assert [path for path in folder.iterdir() if secret in path.read_text()] == []


def test_nothing_is_lost(result: Result) -> None:
    assert result.durability.verdict is DurabilityVerdict.PASS
    assert result.errors == {}
    assert result.not_done == []


def test_components_and_database_are_seen(result: Result) -> None:
    seen = result.stages[0].observed
    assert seen
    assert set(seen.components) == {"mlflow-a-1", "postgres"}
    server = seen.components["mlflow-a-1"]
    assert server.cpu_limit == 0.25
    assert 0.1 < server.cpu < 0.35
    assert server.memory_bytes > 100 << 20
    assert seen.database
    assert 0 < seen.database.connections <= seen.database.most_connections
    assert seen.database.most_connections < seen.database.max_connections
    assert seen.database.size_bytes > 1 << 20
    assert seen.cpu_ms_per_call
    assert 1 < seen.cpu_ms_per_call < 500


def test_what_was_made_scarce_is_named(result: Result) -> None:
    assert result.bottleneck
    assert result.bottleneck.resource == "the CPU limit of mlflow-a-1"


def test_server_processes_were_seen_and_none_ended(result: Result) -> None:
    said = [*result.not_done, *result.verdict.reasons]
    assert not any("server processes" in one for one in said)


def test_nobody_gets_in_without_the_password_of_the_stack(
    stack: Stack, result: Result, docker_client: docker.DockerClient
) -> None:
    outputs = stack.outputs()
    url, password = outputs["url"], outputs["admin_password"]
    search = f"{url}/api/2.0/mlflow/experiments/search?max_results=1"
    users = {"none": None, "wrong": ("admin", "a wrong password"), "right": ("admin", password)}
    answers = {
        name: requests.get(search, auth=user, timeout=60).status_code
        for name, user in users.items()
    }
    assert answers == {"none": 401, "wrong": 401, "right": 200}
    assert requests.get(f"{url}/health", timeout=60).status_code == 200
    state = "".join(file.read_text() for file in stack.folder.rglob("*.json"))
    assert "admin-password" in state
    assert password not in state
    for container in docker_client.containers.list(all=True):
        if container.name and container.name.startswith(PREFIX):
            assert password not in json.dumps(container.attrs) + container.logs().decode()
