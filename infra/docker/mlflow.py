"""One replica of the tracking server."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address

import pulumi
import pulumi_docker as docker

from infra.components.server import SPOOL_FOLDER, TrackingServer
from infra.docker.artifact_mount import ArtifactMount, with_artifacts
from infra.docker.container import ContainerSpec, run_container
from infra.docker.identity import Identity
from infra.docker.volume import volume
from infra.docker.zone import Zone


@dataclass(frozen=True, kw_only=True)
class MlflowReplicaArgs:
    """Settings of a replica.

    `secrets` are the files that its stores need, `mount` is where the folder of the artifacts
    comes from, if they are in one; `published` opens the server's port on the machine; memory is
    in bytes.
    """

    identity: Identity
    image: pulumi.Input[str]
    zone: Zone
    address: IPv4Address
    server: TrackingServer
    secrets: Mapping[str, pulumi.Input[str]]
    mount: ArtifactMount | None
    published: docker.ContainerPortArgs
    memory: int | None
    start_timeout: int


class MlflowReplica(pulumi.ComponentResource):
    """`mlflow server` on the stack's database and artifact store."""

    container: pulumi.Output[str]
    """Name of the container, known once the server answers from the database."""

    def __init__(
        self, name: str, args: MlflowReplicaArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlflow-bench:docker:MlflowReplica", args.identity.logical(name), None, opts
        )
        spec = ContainerSpec(
            image=args.image,
            command=args.server.command(),
            environment=args.server.environment() | {"TMPDIR": SPOOL_FOLDER},
            networks=[args.zone.attach(name, args.address)],
            folders={SPOOL_FOLDER: volume(args.identity, f"{name}-spool", self).name},
            secrets=args.secrets,
            settings=args.server.files(),
            memory=args.memory,
            ports=[args.published],
            ready_command=["ready"],
            start_timeout=args.start_timeout,
        )
        container = run_container(args.identity, name, with_artifacts(spec, args.mount), self)
        self.container = container.name
        self.register_outputs({"container": self.container})
