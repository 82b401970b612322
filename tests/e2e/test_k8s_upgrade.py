"""From one release of MLflow to the next on a real Kubernetes: nobody writes meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from infra.releases import contents
from infra.specification.cluster import TEST_CONTEXT
from tests.e2e.database import ask
from tests.e2e.lifecycle import unchanged
from tests.e2e.stack import Stack, end, new_stack, search
from tests.kubernetes_cluster import get, pods_watched, without_ends
from tests.watched import Watched
from workloads.verdict.result import DurabilityVerdict

# Images of two releases are built where they are not there.
pytestmark = [pytest.mark.e2e, pytest.mark.thorough]

NAMESPACE = "e2e-k8s-upgrade"
SETTINGS: dict[str, Any] = {
    "platform": "kubernetes",
    "artifacts": "s3",
    "kubernetes": {"context": TEST_CONTEXT, "namespace": NAMESPACE},
    "trace_retention": "365d",
}


@pytest.fixture
def stack(tmp_path: Path, docker_client: docker.DockerClient, cluster: None) -> Iterator[Stack]:
    stack = new_stack("e2e-k8s-upgrade", tmp_path)
    yield stack
    end(stack, docker_client)


def uid_of(name: str) -> str:
    return str(get("deployment", NAMESPACE, name)["metadata"]["uid"])


def test_an_upgrade_that_changes_the_schema_stops_all_servers_first(
    stack: Stack, tmp_path: Path
) -> None:
    older: dict[str, Any] = {
        key: value for key, value in SETTINGS.items() if key not in contents.lacks("3.16.1")
    }
    older |= {"mlflow": "3.16.1", "replicas": 2}
    stack.configure(**older)
    stack.up()
    unchanged(stack, "preview")
    outputs = stack.outputs()
    watched = Watched(tmp_path / "watched", outputs["tracking_uri"])
    with watched.calls() as session:
        watched.log_run(session)

    # What the schema has no part in stops nobody.
    before = uid_of("mlflow")
    stack.configure(**older | {"replicas": 1, "mlflow_memory": "1700m"})
    stack.up()
    assert uid_of("mlflow") == before

    [head] = [row[0] for row in ask(outputs, "SELECT version_num FROM alembic_version")]
    ask(outputs, "UPDATE alembic_version SET version_num = 'abcdefabcdef'")
    newer = {**SETTINGS, "replicas": 2}
    stack.configure(**newer)
    with pods_watched(NAMESPACE) as told:
        assert "the database is newer than this image" in stack.up(ok=False)
        # No release serves a database that none of them may have left so.
        names = {one["metadata"]["name"] for one in get("deployment", NAMESPACE)}
        assert names == {"nginx"}
        assert search(outputs["tracking_uri"]).status_code == 502
        ask(outputs, f"UPDATE alembic_version SET version_num = '{head}'")
        stack.up()
        moments = told()
    unchanged(stack, "preview")
    components = ("mlflow", "trace-jobs", "schema-job")
    told_of = without_ends(moments, of_jobs="schema-job")
    servers = [one for one in told_of if one[0] in components]
    # The pods that were there when the watch began come first.
    assert sorted(servers[:3]) == [
        ("mlflow", "comes"),
        ("schema-job", "comes"),
        ("schema-job", "succeeds"),
    ]
    assert servers[3:] == [
        ("mlflow", "goes"),
        ("schema-job", "comes"),
        ("schema-job", "fails"),
        ("schema-job", "comes"),
        ("schema-job", "succeeds"),
        ("mlflow", "comes"),
        ("mlflow", "comes"),
        ("trace-jobs", "comes"),
    ]
    found = watched.judged(stack.subject())
    assert found.verdict is DurabilityVerdict.PASS, found.findings[:3]
