"""The load balancer in front of several replicas."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.components.nginx import CONFIGURATION_FILE, Replica, configuration, ready_command
from infra.components.secret_files import REPLICAS_CA
from infra.docker.container import ContainerSpec, run_container
from infra.docker.identity import Identity
from infra.docker.zone import Zone
from infra.tls import ServedCertificate


@dataclass(frozen=True, kw_only=True)
class LoadBalancerArgs:
    """Settings of nginx; `replica_containers` makes it start after the replicas are ready.

    `published` opens its port on the machine, `audit` that of its status; `certificate` None: it
    speaks no TLS; `replicas_ca`, the certificate that replicas are checked by, None: they speak
    none.
    """

    identity: Identity
    image: pulumi.Input[str]
    zones: Sequence[Zone]
    replicas: tuple[Replica, ...]
    replica_containers: Sequence[pulumi.Output[str]]
    published: docker.ContainerPortArgs
    audit: docker.ContainerPortArgs
    certificate: ServedCertificate | None
    replicas_ca: pulumi.Output[str] | None
    start_timeout: int


class LoadBalancer(pulumi.ComponentResource):
    """nginx, in every zone, with its port open on the machine."""

    container: pulumi.Output[str]
    """Name of the container, known once it reaches a replica."""

    def __init__(
        self, name: str, args: LoadBalancerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlflow-bench:docker:LoadBalancer", args.identity.logical(name), None, opts
        )
        tls, tls_inside = args.certificate is not None, args.replicas_ca is not None
        secrets = dict(args.certificate.files) if args.certificate else {}
        if args.replicas_ca is not None:
            secrets[REPLICAS_CA] = args.replicas_ca
        container = run_container(
            args.identity,
            name,
            ContainerSpec(
                image=pulumi.Output.all(args.image, *args.replica_containers).apply(
                    lambda known: str(known[0])
                ),
                command=[],
                networks=[zone.attach(name) for zone in args.zones],
                secrets=secrets,
                settings={
                    CONFIGURATION_FILE: configuration(args.replicas, tls, tls_inside=tls_inside)
                },
                ports=[args.published, args.audit],
                ready_command=ready_command(tls),
                start_timeout=args.start_timeout,
            ),
            self,
        )
        self.container = container.name
        self.register_outputs({"container": self.container})
