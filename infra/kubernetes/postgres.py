"""The backend store's PostgreSQL."""

from dataclasses import dataclass

import pulumi

from infra.components.postgres import LOST_CLIENTS, PORT, least_memory, memory_settings
from infra.components.secret_files import PASSWORD_FILE
from infra.components.server import Database
from infra.kubernetes.identity import Identity
from infra.kubernetes.network import allow_ingress, service
from infra.kubernetes.pod import CLIENT_LABELS, PodSettings
from infra.kubernetes.rollout import rolled_out
from infra.kubernetes.workload import ready_timeout, stateful_set, volume_claim
from infra.password import password
from infra.specification.cluster import ClusterSpec
from infra.tls import Certificate

USER = 10002

PLANNED_MEMORY = 2**30
"""Bytes that PostgreSQL plans with if it has no limit: others share the node's memory."""


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """Settings of PostgreSQL; `memory` is its limit in bytes, if it has one."""

    identity: Identity
    image: pulumi.Input[str]
    cluster: ClusterSpec
    max_connections: int
    memory: int | None
    certificate: Certificate | None
    """With one, nobody gets in over the network without TLS."""
    start_timeout: int


class Postgres(pulumi.ComponentResource):
    """PostgreSQL with one database and one role for MLflow, on a volume."""

    database: Database
    """Address for clients in the namespace."""

    password: pulumi.Output[str]
    """Password of the role; a secret."""

    container: pulumi.Output[str]
    """Name of the workload, known once the database answers queries."""

    def __init__(
        self, name: str, args: PostgresArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__(
            "mlflow-bench:kubernetes:Postgres", args.identity.logical(name), None, opts
        )
        self.database = Database(host=name, port=PORT, name="mlflow", user="mlflow")
        identity = args.identity
        data = volume_claim(identity, name, args.cluster, self)
        self.password = password(
            identity.logical(f"{name}-password"),
            self,
            # A new volume has a new password: so the schema job runs again, and then the servers.
            keepers={"claim": data.metadata.uid},
        )
        connections = args.max_connections
        planned = max(args.memory or PLANNED_MEMORY, least_memory(connections))
        settings = memory_settings(planned, connections)
        options = {"max_connections": connections, **LOST_CLIENTS, **settings.options()}
        pod = PodSettings(
            image=args.image,
            command=[word for key, value in options.items() for word in ("-c", f"{key}={value}")],
            user=USER,
            environment={
                "POSTGRES_DATABASE": self.database.name,
                "POSTGRES_USER": self.database.user,
            },
            secrets={
                PASSWORD_FILE: self.password,
                **(args.certificate.files if args.certificate else {}),
            },
            claims={"/var/lib/postgresql/data": data.metadata.name},
            scratch=["/tmp", "/run/postgresql"],
            shared_memory=settings.dev_shm,
            request_memory=args.memory or planned,
            memory=args.memory,
            port=PORT,
            start_timeout=args.start_timeout,
        )
        workload = stateful_set(identity, name, pod, self)
        front = service(identity, name, PORT, self, [workload])
        allow_ingress(identity, name, PORT, CLIENT_LABELS, self)
        self.container = rolled_out(identity.context, workload, front, ready_timeout(pod))
        self.register_outputs({"container": self.container})
