"""Pods by the names of components, and what their kubelet tells of them."""

from types import SimpleNamespace
from typing import Any

import pytest

from infra.labels import LABEL_COMPONENT
from infra.outputs import Cluster, Component, Platform
from tests.unit.workloads.builders import target
from workloads.observation.pod_usage import same_names, usage
from workloads.target import pods, server_processes
from workloads.verdict.resource_usage import _component

COMPONENTS = tuple(
    Component(name=name, kind=kind, container=container, image="sha256:12ab")
    for name, kind, container in (
        ("postgres", "postgres", "statefulset/postgres"),
        ("mlflow-1", "mlflow", "deployment/mlflow"),
        ("mlflow-2", "mlflow", "deployment/mlflow"),
    )
)

# As a kubelet of 1.36 printed it.
PRINTED = """\
# HELP container_cpu_usage_seconds_total [STABLE] Cumulative cpu time consumed by the container
# TYPE container_cpu_usage_seconds_total counter
container_cpu_usage_seconds_total{container="mlflow",namespace="here",pod="mlflow-x"} 12.5 1795348061123
container_cpu_usage_seconds_total{container="mlflow",namespace="there",pod="mlflow-y"} 1 1795348061123
container_cpu_usage_seconds_total{container="postgres",namespace="here",pod="postgres-0"} 3 1795348061000
container_memory_working_set_bytes{container="mlflow",namespace="here",pod="mlflow-x"} 3.80772352e+08 1795348061123
pod_cpu_usage_seconds_total{namespace="here",pod="mlflow-x"} 13 1795348061123
"""  # noqa: E501


def pod(name: str, ready: bool = True, going: bool = False) -> Any:
    return SimpleNamespace(
        metadata=SimpleNamespace(
            name=name,
            labels={LABEL_COMPONENT: name.partition("-")[0]},
            deletion_timestamp="now" if going else None,
        ),
        status=SimpleNamespace(
            conditions=[SimpleNamespace(type="Ready", status="True" if ready else "False")]
        ),
    )


def names(found: dict[str, Any]) -> dict[str, str]:
    return {component: one.metadata.name for component, one in found.items()}


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        (
            [pod("mlflow-c"), pod("postgres-0"), pod("mlflow-b"), pod("mlflow-a", ready=False)],
            {"postgres": "postgres-0", "mlflow-1": "mlflow-b", "mlflow-2": "mlflow-c"},
        ),
        # In an update there is one more.
        (
            [pod("mlflow-a", going=True), pod("mlflow-b"), pod("mlflow-c"), pod("mlflow-d")],
            {"mlflow-1": "mlflow-b", "mlflow-2": "mlflow-c"},
        ),
        ([], {}),
    ],
)
def test_the_nth_by_name_of_the_ready_pods(there: list[Any], expected: dict[str, str]) -> None:
    assert names(pods.matched(COMPONENTS, there)) == expected


def test_a_new_pod_takes_the_name_of_the_one_that_went() -> None:
    first = pods.matched(COMPONENTS, [pod("mlflow-b"), pod("mlflow-c")])
    known = names(same_names({}, first))
    assert known == {"mlflow-1": "mlflow-b", "mlflow-2": "mlflow-c"}
    # By name alone, mlflow-a would be the first now.
    later = pods.matched(COMPONENTS, [pod("mlflow-a"), pod("mlflow-c"), pod("postgres-0")])
    assert names(same_names(known, later)) == {
        "mlflow-1": "mlflow-a",
        "mlflow-2": "mlflow-c",
        "postgres": "postgres-0",
    }


def test_what_a_kubelet_tells_of_the_stacks_pods() -> None:
    # Of PostgreSQL the memory is not known yet.
    assert usage(PRINTED, "here") == {
        "mlflow-x": {
            "at": 1795348061.123,
            "cpu_s": 12.5,
            "memory": 380772352,
            "read": None,
            "written": None,
        }
    }


def test_a_cluster_that_cannot_be_asked_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere")
    there = target(
        platform=Platform.KUBERNETES,
        components=COMPONENTS,
        cluster=Cluster(context="gone", namespace="here"),
    )
    with pytest.raises(pods.ClusterError) as caught:
        pods.Pods(there)
    assert len(str(caught.value).splitlines()) == 1
    assert server_processes.processes(there) is None


def looks(*figures: tuple[float, float]) -> list[dict[str, Any]]:
    rest = {"cpu_limit": None, "memory": 1, "memory_limit": None, "read": None, "written": None}
    return [{"components": {"x": {"at": at, "cpu_s": cpu} | rest}} for at, cpu in figures]


@pytest.mark.parametrize(
    ("seen", "cpu"),
    [
        ([(0, 10), (1, 12), (4, 18)], 2.0),
        # A kubelet may look less often than it is asked.
        ([(0, 10), (0, 10), (10, 20), (10, 20)], 1.0),
        # Started anew: what it used since then counts, and what it did before.
        ([(0, 10), (1, 12), (2, 1), (4, 2)], 1.0),
    ],
)
def test_processor_time_is_what_the_counter_grew_by(
    seen: list[tuple[float, float]], cpu: float
) -> None:
    component = _component("x", looks(*seen))
    assert component is not None
    assert component.cpu == pytest.approx(cpu)


def test_looks_at_one_moment_are_no_figure() -> None:
    assert _component("x", looks((3, 10), (3, 10))) is None
