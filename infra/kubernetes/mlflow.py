"""The replicas of the tracking server."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.autoscaling.v2 import HorizontalPodAutoscaler

from infra.cluster import Monitoring
from infra.docker.mlflow import SPOOL_FOLDER
from infra.kubernetes.identity import Identity
from infra.kubernetes.pod import PodSpec, patience, reachable, rolling, service
from infra.kubernetes.rollout import rolled_out
from infra.server import TrackingServer

USER = 10001

DRAIN_SECONDS = 10
"""How long a replica still serves after it was taken out of its Service: more than the 5 s that
the cluster's DNS gives answers for (CoreDNS' default), and the second that nginx keeps them. Where
DNS keeps them for longer, nginx is refused by a replica that is gone, and asks another one."""


MONITOR_VERSION = "monitoring.coreos.com/v1"


@dataclass(frozen=True)
class Autoscale:
    """Let the cluster have up to `most` replicas, of `busy` thousandths of a core each."""

    most: int
    busy: int


@dataclass(frozen=True, kw_only=True)
class MlflowArgs:
    """Settings of the replicas, which are made after `schema`; memory in bytes."""

    identity: Identity
    image: pulumi.Input[str]
    schema: pulumi.Resource
    replicas: int
    autoscale: Autoscale | None
    monitoring: Monitoring | None
    load_balancer: Mapping[str, str]
    """Labels of the pods that may reach the replicas."""
    server: TrackingServer
    secrets: Mapping[str, pulumi.Input[str]]
    request_memory: int
    memory: int | None
    start_timeout: int


class Mlflow(pulumi.ComponentResource):
    """`mlflow server` on the stack's database and artifact store, in as many pods as replicas."""

    container: pulumi.Output[str]
    """Name of the workload, known once every replica answers from both stores."""

    service: pulumi.Output[str]
    """Name that stands for the addresses of the replicas that are ready."""

    def __init__(
        self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:kubernetes:Mlflow", name, None, opts)
        identity, port = args.identity, args.server.port
        pod = PodSpec(
            image=args.image,
            command=args.server.command(),
            user=USER,
            environment=args.server.environment() | {"TMPDIR": SPOOL_FOLDER},
            secrets=args.secrets,
            scratch=["/tmp", SPOOL_FOLDER],
            request_memory=args.memory or args.request_memory,
            memory=args.memory,
            port=port,
            health_path="/health",
            drain=DRAIN_SECONDS,
            client=True,
            start_timeout=args.start_timeout,
        )
        replicas = None if args.autoscale else args.replicas
        most = args.autoscale.most if args.autoscale else args.replicas
        workload = rolling(identity, name, pod, replicas, self, most=most, after=[args.schema])
        if args.autoscale is not None:
            self._autoscaler(name, identity, args.replicas, args.autoscale)
        front = service(
            identity, name, port, self, [workload], name=f"{name}-replicas", headless=True
        )
        monitoring = args.monitoring
        others = monitoring.namespace if monitoring else None
        reachable(identity, name, port, args.load_balancer, self, namespace=others)
        if monitoring is not None:
            self._monitor(name, identity, monitoring)
        self.service = front.metadata.name
        self.container = rolled_out(identity.context, workload, front, patience(pod) * most)
        self.register_outputs({"container": self.container, "service": self.service})

    def _monitor(self, name: str, identity: Identity, monitoring: Monitoring) -> None:
        """Tell the Prometheus operator of the replicas' Service: each pod of it has figures."""
        metadata = identity.metadata(name, name)
        metadata["labels"] = monitoring.labels | metadata["labels"]
        CustomResource(
            f"{name}-monitor",
            api_version=MONITOR_VERSION,
            kind="ServiceMonitor",
            metadata=metadata,
            spec={
                "selector": {"matchLabels": identity.selector(name)},
                "endpoints": [{"port": "main", "path": "/metrics"}],
            },
            opts=identity.options(self),
        )

    def _autoscaler(self, name: str, identity: Identity, fewest: int, autoscale: Autoscale) -> None:
        target = {"type": "AverageValue", "averageValue": f"{autoscale.busy}m"}
        spec: Any = {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": fewest,
            "maxReplicas": autoscale.most,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        }
        HorizontalPodAutoscaler(
            name,
            metadata=identity.metadata(name, name),
            spec=spec,
            opts=identity.options(self),
        )
