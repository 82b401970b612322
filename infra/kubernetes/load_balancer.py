"""The load balancer in front of the replicas, however many there are."""

from dataclasses import dataclass
from typing import Any

import pulumi
from pulumi_kubernetes.core.v1 import Service
from pulumi_kubernetes.networking.v1 import Ingress

from infra.cluster import ClusterSpec
from infra.kubernetes.identity import Identity
from infra.kubernetes.pod import PodSpec, patience, reachable, rolling, service
from infra.kubernetes.rollout import rolled_out
from infra.nginx import (
    CONFIGURATION_FILE,
    PORT,
    STATUS_PORT,
    STREAM_SILENCE_SECONDS,
    configuration_by_name,
)

USER = 10005

PODS = 2
"""So that a node can go. Always as many: with another number of replicas, nginx stays as it is,
and with it the connections of clients."""

REQUEST_MEMORY = 64 * 2**20

DRAIN_SECONDS = 5
"""How long a pod still serves after it was taken out of the Service: more than the seconds in
which every node, and the forward to this machine, learn of that."""


INGRESS_ANNOTATIONS = {
    # Its address comes when a controller takes it up; the stack is used without it, too.
    "pulumi.com/skipAwait": "true",
    # For ingress-nginx, whose own limits would refuse artifacts above 1 MiB and cut off others.
    "nginx.ingress.kubernetes.io/proxy-body-size": "0",
    "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": str(STREAM_SILENCE_SECONDS),
    "nginx.ingress.kubernetes.io/proxy-send-timeout": str(STREAM_SILENCE_SECONDS),
}


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """Settings of nginx.

    `service` is the name that clients reach it by, at `port`; `tracking_service` that of the
    replicas, at `tracking_port`.
    """

    identity: Identity
    image: pulumi.Input[str]
    service: str
    port: int
    tracking_service: pulumi.Input[str]
    tracking_port: int
    cluster: ClusterSpec
    start_timeout: int


class LoadBalancer(pulumi.ComponentResource):
    """nginx in two pods, configured as on Docker but for how it finds the replicas."""

    container: pulumi.Output[str]
    """Name of the workload, known once it reaches a replica."""

    def __init__(
        self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:kubernetes:LoadBalancer", name, None, opts)
        identity = args.identity
        tracking = pulumi.Output.concat(args.tracking_service, f":{args.tracking_port}")
        pod = PodSpec(
            image=args.image,
            command=[],
            user=USER,
            environment={"TRACKING_SERVICE": tracking},
            settings={CONFIGURATION_FILE: configuration_by_name()},
            request_memory=REQUEST_MEMORY,
            port=PORT,
            # A client is to be told that no replica answers, not that nobody is there.
            health_path="/nginx-status",
            health_port=STATUS_PORT,
            ready_while_alive=True,
            # Also answers that are on their way have an end.
            stop_timeout=60,
            drain=DRAIN_SECONDS,
            start_timeout=args.start_timeout,
        )
        workload = rolling(identity, name, pod, PODS, self, most=PODS)
        front = service(identity, name, args.port, self, [workload], name=args.service, target=PORT)
        reachable(identity, name, PORT, None, self)
        if args.cluster.ingress_host is not None:
            self._ingress(name, identity, front, args.cluster)
        self.container = rolled_out(identity.context, workload, front, patience(pod) * PODS)
        self.register_outputs({"container": self.container})

    def _ingress(self, name: str, identity: Identity, front: Service, cluster: ClusterSpec) -> None:
        """Lead a name of the cluster's Ingress controller here."""
        host = cluster.ingress_host
        backend = {"service": {"name": front.metadata.name, "port": {"name": "main"}}}
        path = {"path": "/", "pathType": "Prefix", "backend": backend}
        spec: Any = {"rules": [{"host": host, "http": {"paths": [path]}}]}
        if cluster.ingress_tls_secret is not None:
            spec["tls"] = [{"hosts": [host], "secretName": cluster.ingress_tls_secret}]
        if cluster.ingress_class is not None:
            spec["ingressClassName"] = cluster.ingress_class
        metadata = identity.metadata(name, name)
        metadata["annotations"] = INGRESS_ANNOTATIONS
        Ingress(name, metadata=metadata, spec=spec, opts=identity.options(self))
