"""CPU and memory of a stack's pods, from their nodes' kubelets."""

import threading
import time
from typing import Any

from kubernetes.utils import parse_quantity
from prometheus_client.parser import text_string_to_metric_families

from infra.labels import LABEL_COMPONENT
from infra.outputs import Target
from workloads.target.pods import ClusterError, Pods

INTERVAL_S = 1.0
"""Time between questions; some kubelets look themselves every 10 s only."""

OLD_S = 5.0
"""Age of the last answer from which on it is no answer any more."""


CPU = "container_cpu_usage_seconds_total"
MEMORY = "container_memory_working_set_bytes"


class PodUsage:
    """Follows the pods of a stack; raises `ClusterError` if the cluster does not tell of them."""

    def __init__(self, target: Target) -> None:
        self._pods = Pods(target)
        self._names: dict[str, str] = {}
        self._last: tuple[float, dict[str, Any]] = (time.monotonic(), self._ask())
        threading.Thread(target=self._follow, daemon=True).start()

    def look(self) -> dict[str, Any]:
        """Return what each has used since it started: CPU in s, memory in bytes.

        `at` is when the kubelet looked, in s: the same in several looks. A pod that is not ready
        has no entry.
        """
        at, seen = self._last
        return seen if time.monotonic() - at < OLD_S else {}

    def _follow(self) -> None:
        while True:
            time.sleep(INTERVAL_S)
            try:
                self._last = (time.monotonic(), self._ask())
            except ClusterError:
                continue

    def _ask(self) -> dict[str, Any]:
        pods = same_names(self._names, self._pods.find())
        self._names = {component: pod.metadata.name for component, pod in pods.items()}
        known = {
            pod: figures
            for node in {pod.spec.node_name for pod in pods.values()}
            for pod, figures in usage(self._pods.usage(node), self._pods.namespace).items()
        }
        return {
            component: figures | _limits(pod.spec.containers[0])
            for component, pod in pods.items()
            if (figures := known.get(pod.metadata.name))
        }


def usage(text: str, namespace: str) -> dict[str, dict[str, Any]]:
    """Return the figures by pod of what a kubelet tells; its pods have one container each."""
    by_pod: dict[str, dict[str, Any]] = {}
    for sample in (
        sample for family in text_string_to_metric_families(text) for sample in family.samples
    ):
        if sample.name not in (CPU, MEMORY) or sample.labels["namespace"] != namespace:
            continue
        pod = by_pod.setdefault(sample.labels["pod"], {"read": None, "written": None})
        if sample.name == CPU:
            pod |= {"at": float(sample.timestamp or 0), "cpu_s": sample.value}
        else:
            # As `docker stats` counts: without file pages that can be dropped.
            pod["memory"] = int(sample.value)
    return {pod: figures for pod, figures in by_pod.items() if {"at", "memory"} <= figures.keys()}


def same_names(known: dict[str, str], ready: dict[str, Any]) -> dict[str, Any]:
    """Give pods that are known the component's name that they had, and new ones a free name.

    Pods are matched to names in their order, which a new one may change.
    """
    free = {pod.metadata.name: pod for pod in ready.values()}
    named = {
        component: free.pop(known[component]) for component in ready if known.get(component) in free
    }
    for component, pod in ready.items():
        if component not in named:
            workload = pod.metadata.labels[LABEL_COMPONENT]
            alike = [n for n, p in free.items() if p.metadata.labels[LABEL_COMPONENT] == workload]
            named[component] = free.pop(alike[0])
    return named


def _limits(container: Any) -> dict[str, Any]:
    limits = (container.resources.limits if container.resources else None) or {}
    return {
        "cpu_limit": float(parse_quantity(limits["cpu"])) if "cpu" in limits else None,
        "memory_limit": int(parse_quantity(limits["memory"])) if "memory" in limits else None,
    }
