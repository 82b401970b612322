"""What a workload lacks until its pods are as declared."""

from typing import Any

import pulumi
import pytest
from kubernetes.client import (
    AppsV1Api,
    V1LabelSelector,
    V1ObjectMeta,
    V1PodTemplateSpec,
    V1StatefulSet,
    V1StatefulSetSpec,
    V1StatefulSetStatus,
)
from kubernetes.client.exceptions import ApiException

from infra.kubernetes import rollout


def workload(desired: int, generation: int = 2, **status: int) -> dict[str, Any]:
    return {
        "metadata": {"generation": generation},
        "spec": {"replicas": desired},
        "status": {"observedGeneration": 2, **status},
    }


READY = {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}


@pytest.mark.parametrize(
    ("live", "missing"),
    [
        (workload(2, **READY), None),
        # The status of before a change: all is well with it.
        (workload(2, generation=3, **READY), "the cluster has not looked at it yet"),
        ({"metadata": {"generation": 1}, "spec": {}}, "the cluster has not looked at it yet"),
        (workload(2, **READY | {"updatedReplicas": 1}), "1 of 2 pods are as declared"),
        (workload(2), "0 of 2 pods are as declared"),
        (workload(2, **READY | {"replicas": 3}), "1 pods of before are still there"),
        (workload(2, **READY | {"readyReplicas": 1}), "1 of 2 pods are ready"),
        (workload(0), None),
    ],
)
def test_what_is_lacking(live: dict[str, Any], missing: str | None) -> None:
    assert rollout.unfinished(live) == missing


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The cluster's answers in their order; the last is repeated."""
    queue: list[Any] = []

    def read(*_: Any, **__: Any) -> Any:
        answer = queue.pop(0) if len(queue) > 1 else queue[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(rollout, "configuration", lambda _: None)
    monkeypatch.setattr(rollout, "POLL_SECONDS", 0)
    monkeypatch.setattr(AppsV1Api, "read_namespaced_stateful_set", read)
    return queue


def stateful_set(observed: int, ready: int) -> V1StatefulSet:
    status = V1StatefulSetStatus(
        observed_generation=observed, replicas=1, updated_replicas=1, ready_replicas=ready
    )
    spec = V1StatefulSetSpec(
        replicas=1, selector=V1LabelSelector(), service_name="any", template=V1PodTemplateSpec()
    )
    return V1StatefulSet(metadata=V1ObjectMeta(generation=2), spec=spec, status=status)


def test_a_cluster_that_is_away_for_a_moment_is_asked_again(answers: list[Any]) -> None:
    away = ApiException(status=503, reason="Service Unavailable")
    answers += [away, OSError(), stateful_set(1, 1), stateful_set(2, 0), stateful_set(2, 1)]
    rollout._wait("any", "statefulset", "here", "postgres", 10)
    assert len(answers) == 1


def test_what_never_comes_is_one_line(answers: list[Any]) -> None:
    answers.append(stateful_set(2, 0))
    with pytest.raises(pulumi.RunError) as failed:
        rollout._wait("any", "statefulset", "here", "postgres", 0)
    assert str(failed.value) == (
        "statefulset/postgres of here: 0 of 1 pods are ready, 0 s after it was declared; "
        "./scripts/doctor says why"
    )
