"""The replicas of the tracking server."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi
from pulumi_kubernetes.apiextensions import CustomResource
from pulumi_kubernetes.core.v1 import Secret

from infra.components.server import SPOOL_FOLDER, TLS_NAME, TrackingServer
from infra.kubernetes.autoscaler import autoscaler, without_autoscaler
from infra.kubernetes.identity import Identity
from infra.kubernetes.network import allow_ingress, service
from infra.kubernetes.pod import PodSettings
from infra.kubernetes.rollout import rolled_out
from infra.kubernetes.workload import ready_timeout, rolling_deployment
from infra.specification.cluster import ClusterSpec, Monitoring

USER = 10001

DRAIN_SECONDS = 10
"""How long a replica still serves after it was taken out of its Service: more than the 5 s that
CoreDNS by default lets an answer be cached, and the second that nginx caches it. With a longer
TTL, nginx is refused by a replica that is gone, and asks the next one."""

MONITOR_VERSION = "monitoring.coreos.com/v1"


@dataclass(frozen=True, kw_only=True)
class MlflowArgs:
    """Settings of the replicas, which are made after `schema`; memory in bytes."""

    identity: Identity
    image: pulumi.Input[str]
    schema: pulumi.Resource
    annotations: Mapping[str, pulumi.Input[str]]
    """Of the pods, see `SchemaRevision`."""
    cluster: ClusterSpec
    replicas: int
    max_replicas: int
    """With an autoscaler."""
    load_balancer: Mapping[str, str]
    """Labels of the pods that may reach the replicas."""
    server: TrackingServer
    secrets: Mapping[str, pulumi.Input[str]]
    metrics_token: pulumi.Output[str] | None
    """What Prometheus has to show; None: nothing."""
    replicas_ca: pulumi.Output[str] | None
    """What it verifies replicas by; None: they speak no TLS."""
    request_memory: int
    memory: int | None
    start_timeout: int


class Mlflow(pulumi.ComponentResource):
    """`mlflow server` on the stack's database and artifact store, in as many pods as replicas."""

    container: pulumi.Output[str]
    """Name of the workload, known once every replica answers from both stores."""

    service: pulumi.Output[str]
    """Name of the headless Service, which resolves to the ready replicas."""

    def __init__(
        self, name: str, args: MlflowArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:kubernetes:Mlflow", args.identity.logical(name), None, opts)
        identity, port = args.identity, args.server.port
        pod = PodSettings(
            image=args.image,
            command=args.server.command(),
            user=USER,
            environment=args.server.environment() | {"TMPDIR": SPOOL_FOLDER},
            secrets=args.secrets,
            settings=args.server.files(),
            scratch=["/tmp", SPOOL_FOLDER],
            request_memory=args.memory or args.request_memory,
            memory=args.memory,
            port=port,
            health_path="/health",
            health_tls=args.server.tls,
            drain=DRAIN_SECONDS,
            client=True,
            annotations=args.annotations,
            start_timeout=args.start_timeout,
        )
        autoscale, monitoring = args.cluster.autoscale, args.cluster.monitoring
        max_replicas = args.max_replicas if autoscale else args.replicas
        workload = rolling_deployment(
            identity,
            name,
            pod,
            None if autoscale else without_autoscaler(identity, name, args.replicas),
            self,
            max_replicas=max_replicas,
            depends_on=[args.schema],
        )
        if autoscale:
            range_of_replicas = (args.replicas, args.max_replicas)
            autoscaler(identity, name, range_of_replicas, args.server.workers, self)
        replicas_service = service(
            identity, name, port, self, [workload], name=f"{name}-replicas", headless=True
        )
        allow_ingress(
            identity,
            name,
            port,
            args.load_balancer,
            self,
            from_namespace=monitoring.namespace if monitoring else None,
        )
        if monitoring is not None:
            self._monitor(name, args, monitoring)
        self.service = replicas_service.metadata.name
        self.container = rolled_out(
            identity.context, workload, replicas_service, ready_timeout(pod) * max_replicas
        )
        self.register_outputs({"container": self.container, "service": self.service})

    def _monitor(self, name: str, args: MlflowArgs, monitoring: Monitoring) -> None:
        """Let the Prometheus operator scrape each pod of the replicas' Service."""
        identity = args.identity
        endpoint: dict[str, pulumi.Input[object]] = {"port": "main", "path": "/metrics"}
        shown = {"token": args.metrics_token, "ca.crt": args.replicas_ca}
        files = {key: value for key, value in shown.items() if value is not None}
        if files:
            # Of its own: whoever may read it gets at nothing else of the servers.
            secret = Secret(
                identity.logical(f"{name}-monitor"),
                metadata=identity.metadata(f"{name}-monitor", name),
                string_data=files,
                opts=identity.options(self),
            )
            of = {key: {"name": secret.metadata.name, "key": key} for key in files}
            if "token" in of:
                endpoint["authorization"] = {"type": "Bearer", "credentials": of["token"]}
            if "ca.crt" in of:
                endpoint["scheme"] = "https"
                endpoint["tlsConfig"] = {"ca": {"secret": of["ca.crt"]}, "serverName": TLS_NAME}
        CustomResource(
            identity.logical(f"{name}-monitor"),
            api_version=MONITOR_VERSION,
            kind="ServiceMonitor",
            metadata=identity.metadata(name, name, labels=monitoring.labels),
            spec={
                "selector": {"matchLabels": identity.pod_labels(name)},
                "endpoints": [endpoint],
            },
            opts=identity.options(self),
        )
