"""A command in a pod of its own: as a replica's, but that nothing leads to it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes import client
from kubernetes.client.exceptions import ApiException

from scripts.archive import RefusedError, on_kubernetes
from scripts.archive.on_kubernetes import OnKubernetes
from tests.unit.workloads.builders import target

LABELS = {
    "mlflow-bench.stack": "k8s",
    "mlflow-bench.component": "mlflow",
    "mlflow-bench.client": "true",
    "app.kubernetes.io/name": "mlflow",
}


def replica_container() -> client.V1Container:
    probe = client.V1Probe(http_get=client.V1HTTPGetAction(path="/health", port=5000))
    return client.V1Container(
        name="mlflow",
        image="mlflow:1",
        args=["mlflow", "server", "--backend-store-uri=postgresql://db"],
        env=[client.V1EnvVar(name="AWS_DEFAULT_REGION", value="us-east-1")],
        volume_mounts=[client.V1VolumeMount(name="secrets", mount_path="/run/secrets")],
        ports=[client.V1ContainerPort(container_port=5000)],
        startup_probe=probe,
        readiness_probe=probe,
        liveness_probe=probe,
        lifecycle=client.V1Lifecycle(pre_stop=client.V1LifecycleHandler()),
    )


def replicas() -> client.V1Deployment:
    return client.V1Deployment(
        spec=client.V1DeploymentSpec(
            selector=client.V1LabelSelector(match_labels=LABELS),
            template=client.V1PodTemplateSpec(
                metadata=client.V1ObjectMeta(labels=dict(LABELS)),
                spec=client.V1PodSpec(containers=[replica_container()], restart_policy="Always"),
            ),
        )
    )


class Cluster:
    """Jobs of a namespace; a new one ends as `ends` says when it is looked at."""

    def __init__(self) -> None:
        self.jobs: dict[str, SimpleNamespace] = {}
        self.made: list[dict[str, Any]] = []
        self.ends = SimpleNamespace(succeeded=1, failed=None)

    def read_namespaced_deployment(self, name: str, namespace: str) -> client.V1Deployment:
        assert (name, namespace) == ("mlflow", "team")
        return replicas()

    def read_namespaced_job_status(self, name: str, namespace: str) -> SimpleNamespace:
        if name not in self.jobs:
            raise ApiException(404, "Not Found")
        return SimpleNamespace(status=self.jobs[name])

    def create_namespaced_job(self, namespace: str, body: dict[str, Any], **_: Any) -> None:
        assert body["metadata"]["name"] not in self.jobs
        self.jobs[body["metadata"]["name"]] = self.ends
        self.made.append(body)

    def delete_namespaced_job(self, name: str, namespace: str, **_: Any) -> None:
        del self.jobs[name]

    def list_namespaced_pod(self, namespace: str, label_selector: str) -> SimpleNamespace:
        pod = SimpleNamespace(metadata=SimpleNamespace(name=f"{label_selector}-1"))
        return SimpleNamespace(items=[pod])

    def read_namespaced_pod_log(self, name: str, namespace: str) -> str:
        return f"{name} says\nno: it cannot\n"


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    cluster = Cluster()
    core = SimpleNamespace(
        api_client=None,
        list_namespaced_pod=cluster.list_namespaced_pod,
        read_namespaced_pod_log=cluster.read_namespaced_pod_log,
    )
    pods = SimpleNamespace(core=core, namespace="team")
    apis: tuple[tuple[str, Callable[..., Any]], ...] = (
        ("Pods", lambda _: pods),
        ("AppsV1Api", lambda _: cluster),
        ("BatchV1Api", lambda _: cluster),
    )
    for name, api in apis:
        monkeypatch.setattr(on_kubernetes, name, api)
    return cluster


def alone(cluster: Cluster) -> str:
    [replica, *_] = [one for one in target().components if one.kind == "mlflow"]
    component = replica.model_copy(update={"container": "deployment/mlflow"})
    return OnKubernetes(target()).alone("gc", component, lambda server: ["gc", server[-1]])


def test_the_pod_has_what_a_replica_has_and_serves_nobody(cluster: Cluster) -> None:
    assert alone(cluster) == "job-name=gc-1 says\nno: it cannot\n"
    assert cluster.jobs == {}
    [job] = cluster.made
    pod = job["spec"]["template"]
    [container] = pod.spec.containers
    # It may reach the stores; no Service, budget or Deployment takes it for a replica.
    gc = {"mlflow-bench.component": "gc", "app.kubernetes.io/name": "gc"}
    assert pod.metadata.labels == job["metadata"]["labels"] == LABELS | gc
    assert container.args == ["gc", "--backend-store-uri=postgresql://db"]
    server = replica_container()
    assert (container.env, container.volume_mounts) == (server.env, server.volume_mounts)
    assert (pod.spec.restart_policy, job["spec"]["backoffLimit"]) == ("Never", 0)
    for name in ("ports", "lifecycle", "startup_probe", "readiness_probe", "liveness_probe"):
        assert getattr(container, name) is None


def test_what_fails_says_why_and_is_removed(cluster: Cluster) -> None:
    cluster.ends = SimpleNamespace(succeeded=None, failed=1)
    with pytest.raises(RefusedError, match="gc: no: it cannot"):
        alone(cluster)
    assert cluster.jobs == {}


def test_one_that_a_killed_command_left(cluster: Cluster) -> None:
    cluster.jobs["gc"] = SimpleNamespace(succeeded=None, failed=None)
    with pytest.raises(RefusedError, match="job gc is at work already: wait for it"):
        alone(cluster)
    assert cluster.made == []
    cluster.jobs["gc"] = SimpleNamespace(succeeded=1, failed=None)
    assert "says" in alone(cluster)
    assert cluster.jobs == {}
