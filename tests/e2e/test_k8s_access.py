"""A stack on Kubernetes with users and TLS: loaded from inside, and a pod of it killed."""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest
import requests

from infra.specification.cluster import TEST_CONTEXT
from tests.e2e.stack import Stack, deployed
from workloads.verdict.result import DurabilityVerdict, Result

pytestmark = [pytest.mark.e2e, pytest.mark.thorough]


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, cluster: None, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    where = {"context": TEST_CONTEXT, "namespace": "e2e-access", "load_inside": True}
    settings = {"platform": "kubernetes", "artifacts": "s3", "replicas": 2, "kubernetes": where}
    folder = tmp_path_factory.mktemp("access")
    access = {"tls": True, "tls_inside": True, "auth": "basic"}
    with deployed("e2e-access", folder, docker_client, **settings, **access) as stack:
        stack.run("preview", "--expect-no-changes")
        yield stack


def test_nobody_gets_in_who_does_not_belong(stack: Stack) -> None:
    outputs = stack.outputs()
    ca_file, search = outputs["ca_file"], f"{outputs['url']}/api/2.0/mlflow/experiments/search"
    assert search.startswith("https://localhost:")
    question = {"max_results": 1}
    with pytest.raises(requests.exceptions.SSLError):
        requests.post(search, json=question, timeout=60)
    users = (None, ("admin", "a wrong password"), ("admin", outputs["admin_password"]))
    answers = [
        requests.post(search, json=question, auth=user, verify=ca_file, timeout=60).status_code
        for user in users
    ]
    assert answers == [401, 401, 200]
    state = "".join(file.read_text() for file in stack.folder.rglob("*.json"))
    assert "BEGIN CERTIFICATE" in state
    assert "PRIVATE KEY" not in state
    assert outputs["admin_password"] not in state


@pytest.mark.parametrize(
    "arguments",
    [
        ("--scenario", "metrics", "--users", "2", "--duration", "8"),
        ("--scenario", "resilience", "--fault", "replica-kill", "--set", "fault_s=2", "--outside"),
    ],
    ids=["a load from inside", "a fault under a load from outside"],
)
def test_nothing_is_lost(stack: Stack, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    stack.workload(tmp_path / "run", *arguments)
    result = Result.model_validate_json((tmp_path / "run" / "result.json").read_text())
    assert result.durability.verdict is DurabilityVerdict.PASS
    assert sum(sets.acknowledged for sets in result.durability.kinds.values()) > 100
    assert stack.outputs()["admin_password"] not in "".join(
        path.read_text(errors="replace") for path in (tmp_path / "run").iterdir() if path.is_file()
    )
