"""One replica of the tracking server."""

from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.docker.container import ContainerSpec, run_container
from infra.docker.identity import Identity
from infra.docker.postgres import PASSWORD_FILE
from infra.server import TrackingServer


@dataclass(frozen=True, kw_only=True)
class MlflowReplicaArgs:
    """Settings of a replica; `published` opens its port on the machine, memory is in bytes."""

    identity: Identity
    image: pulumi.Input[str]
    network: pulumi.Input[str]
    server: TrackingServer
    password: pulumi.Input[str]
    artifacts_volume: pulumi.Input[str]
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
        super().__init__("mlflow-bench:docker:MlflowReplica", name, None, opts)
        container = run_container(
            args.identity,
            name,
            ContainerSpec(
                image=args.image,
                command=args.server.command(),
                environment=args.server.environment(),
                network=args.network,
                aliases=[name],
                folders={args.server.artifacts.uri: args.artifacts_volume},
                secrets={PASSWORD_FILE: args.password},
                memory=args.memory,
                port=args.published,
                ready_command=["ready"],
                start_timeout=args.start_timeout,
            ),
            self,
        )
        self.container = container.name
        self.register_outputs({"container": self.container})
