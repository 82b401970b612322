"""The backend store's PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.components.postgres import LOST_CLIENTS, PORT, PostgresMemory
from infra.components.secret_files import PASSWORD_FILE
from infra.components.server import Database
from infra.docker.container import ContainerSpec, run_container
from infra.docker.identity import Identity
from infra.docker.volume import volume
from infra.docker.zone import Zone
from infra.password import password
from infra.tls import Certificate


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """Settings of PostgreSQL; `audit` opens its port; memory in bytes.

    `settings` are for the memory of `memory`, the limit, or of the machine.
    """

    identity: Identity
    image: pulumi.Input[str]
    zones: Sequence[Zone]
    max_connections: int
    audit: docker.ContainerPortArgs
    memory: int | None
    settings: PostgresMemory
    certificate: Certificate | None
    """With one, nobody gets in over the network without TLS."""
    start_timeout: int


class Postgres(pulumi.ComponentResource):
    """PostgreSQL with one database and one role for MLflow, on a volume."""

    database: Database
    """Address for clients in the stack's network."""

    password: pulumi.Output[str]
    """Password of the role; a secret."""

    container: pulumi.Output[str]
    """Name of the container, known once the database answers queries."""

    def __init__(
        self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:docker:Postgres", args.identity.logical(name), None, opts)
        self.database = Database(host=name, port=PORT, name="mlflow", user="mlflow")
        self.password = password(args.identity.logical(f"{name}-password"), self)
        container = run_container(
            args.identity,
            name,
            ContainerSpec(
                image=args.image,
                command=[
                    argument
                    for name, value in {
                        "max_connections": args.max_connections,
                        **LOST_CLIENTS,
                        **args.settings.options(),
                    }.items()
                    for argument in ("-c", f"{name}={value}")
                ],
                environment={
                    "POSTGRES_DATABASE": self.database.name,
                    "POSTGRES_USER": self.database.user,
                },
                networks=[zone.attach(name) for zone in args.zones],
                folders={
                    "/var/lib/postgresql/data": volume(
                        args.identity, f"{name}-data", self, holds_data=True
                    ).name
                },
                secrets={
                    PASSWORD_FILE: self.password,
                    **(args.certificate.files if args.certificate else {}),
                },
                scratch=["/tmp", "/run/postgresql"],
                memory=args.memory,
                shared_memory=args.settings.dev_shm,
                ports=[args.audit],
                ready_command=["ready"],
                start_timeout=args.start_timeout,
            ),
            self,
        )
        self.container = container.name
        self.register_outputs({"container": self.container})
