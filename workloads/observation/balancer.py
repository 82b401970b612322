"""What nginx's log says of each replica: requests, answer times, and how many it worked on.

The log is that of `infra.components.nginx`: one JSON object a line, with the replica's address and
its time as lists where a request was passed on; the last one is the replica that answered.
"""

import itertools
import json
import math
import time
from array import array
from collections.abc import Iterable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any

import docker
import numpy as np

from infra.outputs import Platform, Target
from workloads.target.pods import Pods
from workloads.verdict.figures import latency

Span = tuple[str, float, float]
"""A stage's name with begin and end of its load phase, in s of the Unix clock."""


def replicas(target: Target, spans: list[Span]) -> Iterator[dict[str, Any]]:
    """Yield for each stage what the log says of each replica, by the component's name.

    Nothing where there is no load balancer. Raises `DockerException` or `ClusterError` if its log
    cannot be read. A kubelet keeps the last 10 MiB of a pod's log, some 30,000 requests.
    """
    balancers = [c for c in target.components if c.kind == "nginx"]
    if not balancers or not spans:
        return
    if target.platform is Platform.KUBERNETES:
        yield from _on_kubernetes(target, spans)
    else:
        yield from _on_docker(target, balancers[0].container, spans)


def _on_docker(target: Target, balancer: str, spans: list[Span]) -> Iterator[dict[str, Any]]:
    with closing(docker.from_env(timeout=30)) as client:
        names = dict(_addresses(client, target))
        lines = client.api.logs(
            client.api.inspect_container(balancer)["Id"],
            stdout=True,
            stderr=False,
            stream=True,
            # With it, the engine would wait for a line that is later than `until`.
            follow=False,
            timestamps=True,
            since=spans[0][1],
            until=spans[-1][2] + 1,
        )
        yield from summary(lines, spans, names)


def _on_kubernetes(target: Target, spans: list[Span]) -> Iterator[dict[str, Any]]:
    pods = Pods(target)
    by_component = pods.find()
    kinds = {c.name: c.kind for c in target.components}
    names = {
        pod.status.pod_ip: name for name, pod in by_component.items() if kinds[name] == "mlflow"
    }
    seconds = math.ceil(time.time() - spans[0][1]) + 1
    lines = itertools.chain.from_iterable(
        pods.log(pod.metadata.name, seconds)
        for name, pod in by_component.items()
        if kinds[name] == "nginx"
    )
    yield from summary(lines, spans, names)


def summary(
    lines: Iterable[bytes], spans: list[Span], names: dict[str, str]
) -> Iterator[dict[str, Any]]:
    """Sort log lines, each after its time as the platform puts it, into stages; and count them.

    `names` has components by address. `in_flight` is a mean by Little's law: what the answers
    took together, divided by the time in which they were given.
    """
    took: dict[str, dict[str, array[float]]] = {name: {} for name, _, _ in spans}
    for line in lines:
        stamp, _, text = line.decode().partition(" ")
        try:
            entry = json.loads(text)
            at = datetime.fromisoformat(stamp[:26].rstrip("Z") + "+00:00").timestamp()
            address = entry["upstream"].split(", ")[-1].rsplit(":", 1)[0]
            seconds = float(entry["response"].split(", ")[-1])
        except (ValueError, KeyError, TypeError, AttributeError):
            continue  # a line of nginx's own, or a request that no replica answered
        for name, begin, end in spans:
            if begin <= at < end and address in names:
                took[name].setdefault(names[address], array("d")).append(seconds)
    for name, begin, end in spans:
        replicas_seen = {}
        for replica, seconds_of in sorted(took[name].items()):
            spread = latency(np.array(seconds_of) * 1000)
            replicas_seen[replica] = {
                "requests": len(seconds_of),
                "in_flight": round(sum(seconds_of) / (end - begin), 3),
                "p50_ms": spread.p50_ms,
                "p95_ms": spread.p95_ms,
            }
        if replicas_seen:
            yield {"stage": name, "replicas": replicas_seen}


def _addresses(client: docker.DockerClient, target: Target) -> Iterator[tuple[str, str]]:
    for component in target.components:
        if component.kind == "mlflow":
            attributes = client.api.inspect_container(component.container)
            for network in attributes["NetworkSettings"]["Networks"].values():
                yield network["IPAddress"], component.name
