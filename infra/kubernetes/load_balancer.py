"""The load balancer in front of the replicas, however many there are."""

from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.core.v1 import Service
from pulumi_kubernetes.networking import v1 as networking

from infra.components.nginx import (
    CONFIGURATION_FILE,
    PORT,
    STATUS_PORT,
    STREAM_SILENCE_SECONDS,
    configuration_by_name,
    ready_command,
)
from infra.components.secret_files import REPLICAS_CA
from infra.kubernetes.identity import Identity
from infra.kubernetes.network import allow_ingress, service
from infra.kubernetes.pod import PodSettings
from infra.kubernetes.rollout import rolled_out
from infra.kubernetes.workload import ready_timeout, rolling_deployment
from infra.specification.cluster import ClusterSpec
from infra.tls import ServedCertificate

USER = 10005

PODS = 2
"""Two, so that a node can go. The number does not follow that of the replicas: nginx, and with it
its clients' connections, stays when they are scaled."""

REQUEST_MEMORY = 64 * 2**20

DRAIN_SECONDS = 5
"""How long a pod still serves after it was taken out of the Service: more than the time until all
nodes, and the port-forward to this machine, know of it."""

INGRESS_ANNOTATIONS = {
    # It has no address until a controller takes it up; the stack works without one.
    "pulumi.com/skipAwait": "true",
    # The defaults of ingress-nginx refuse artifacts above 1 MiB and cut off slow uploads.
    "nginx.ingress.kubernetes.io/proxy-body-size": "0",
    "nginx.ingress.kubernetes.io/proxy-request-buffering": "off",
    "nginx.ingress.kubernetes.io/proxy-read-timeout": str(STREAM_SILENCE_SECONDS),
    "nginx.ingress.kubernetes.io/proxy-send-timeout": str(STREAM_SILENCE_SECONDS),
}


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """Settings of nginx.

    `service` is the name that clients reach it by, at `port`; `tracking_service` that of the
    replicas, at `tracking_port`; `certificate` None: it speaks no TLS; `replicas_ca`, the
    certificate that replicas are checked by, None: they speak none.
    """

    identity: Identity
    image: pulumi.Input[str]
    service: str
    port: int
    tracking_service: pulumi.Input[str]
    tracking_port: int
    cluster: ClusterSpec
    certificate: ServedCertificate | None
    replicas_ca: pulumi.Output[str] | None
    start_timeout: int


class LoadBalancer(pulumi.ComponentResource):
    """nginx in two pods, configured as on Docker but for how it finds the replicas."""

    container: pulumi.Output[str]
    """Name of the workload, known once it reaches a replica."""

    def __init__(
        self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlflow-bench:kubernetes:LoadBalancer", args.identity.logical(name), None, opts
        )
        identity = args.identity
        tracking = pulumi.Output.concat(args.tracking_service, f":{args.tracking_port}")
        tls, tls_inside = args.certificate is not None, args.replicas_ca is not None
        secrets = dict(args.certificate.files) if args.certificate else {}
        if args.replicas_ca is not None:
            secrets[REPLICAS_CA] = args.replicas_ca
        pod = PodSettings(
            image=args.image,
            command=[],
            user=USER,
            environment={"TRACKING_SERVICE": tracking},
            secrets=secrets,
            settings={CONFIGURATION_FILE: configuration_by_name(tls, tls_inside=tls_inside)},
            ready_command=ready_command(tls),
            request_memory=REQUEST_MEMORY,
            port=PORT,
            # Without a replica, nginx still answers, with an error that says so.
            health_path="/nginx-status",
            health_port=STATUS_PORT,
            ready_while_alive=True,
            stop_timeout=60,
            drain=DRAIN_SECONDS,
            start_timeout=args.start_timeout,
        )
        workload = rolling_deployment(identity, name, pod, PODS, self, max_replicas=PODS)
        front = service(
            identity, name, args.port, self, [workload], name=args.service, target_port=PORT
        )
        allow_ingress(identity, name, PORT, None, self)
        if args.cluster.ingress_host is not None:
            self._ingress(name, identity, front, args.cluster, tls)
        self.container = rolled_out(identity.context, workload, front, ready_timeout(pod) * PODS)
        self.register_outputs({"container": self.container})

    def _ingress(
        self, name: str, identity: Identity, front: Service, cluster: ClusterSpec, tls: bool
    ) -> None:
        """Lead a name of the cluster's Ingress controller here."""
        host = cluster.ingress_host
        protocol = {"nginx.ingress.kubernetes.io/backend-protocol": "HTTPS"} if tls else {}
        annotations = INGRESS_ANNOTATIONS | protocol
        assert host is not None
        backend = networking.IngressServiceBackendArgs(
            name=front.metadata.name, port=networking.ServiceBackendPortArgs(name="main")
        )
        path = networking.HTTPIngressPathArgs(
            path="/", path_type="Prefix", backend=networking.IngressBackendArgs(service=backend)
        )
        named = None
        if cluster.ingress_tls_secret is not None:
            named = [
                networking.IngressTLSArgs(hosts=[host], secret_name=cluster.ingress_tls_secret)
            ]
        networking.Ingress(
            identity.logical(name),
            metadata=identity.metadata(name, name, annotations=annotations),
            spec=networking.IngressSpecArgs(
                rules=[
                    networking.IngressRuleArgs(
                        host=host, http=networking.HTTPIngressRuleValueArgs(paths=[path])
                    )
                ],
                tls=named,
                ingress_class_name=cluster.ingress_class,
            ),
            opts=identity.options(self),
        )
