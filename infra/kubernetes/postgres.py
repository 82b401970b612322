"""The backend store's PostgreSQL."""

from dataclasses import dataclass

import pulumi
import pulumi_random as random

from infra.docker.postgres import PASSWORD_FILE, PORT
from infra.kubernetes.identity import Identity
from infra.kubernetes.pod import CLIENTS, PodSpec, claim, patience, reachable, service, single
from infra.kubernetes.rollout import rolled_out
from infra.postgres import PostgresMemory
from infra.server import Database

USER = 10002


@dataclass(frozen=True, kw_only=True)
class PostgresArgs:
    """Settings of PostgreSQL; `settings` are for `planned` bytes; `memory` is the limit."""

    identity: Identity
    image: pulumi.Input[str]
    max_connections: int
    storage: str
    storage_class: str | None
    memory: int | None
    planned: int
    settings: PostgresMemory
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
        super().__init__("mlflow-bench:kubernetes:Postgres", name, None, opts)
        self.database = Database(host=name, port=PORT, name="mlflow", user="mlflow")
        identity = args.identity
        data = claim(identity, name, args.storage, args.storage_class, self)
        self.password = random.RandomPassword(
            f"{name}-password",
            length=32,
            special=False,
            # A database that begins anew has another, by which the schema job runs again, and the
            # servers start again after it.
            keepers={"claim": data.metadata.uid},
            opts=pulumi.ResourceOptions(parent=self),
        ).result
        options = {"max_connections": args.max_connections, **args.settings.options()}
        pod = PodSpec(
            image=args.image,
            command=[word for key, value in options.items() for word in ("-c", f"{key}={value}")],
            user=USER,
            environment={
                "POSTGRES_DATABASE": self.database.name,
                "POSTGRES_USER": self.database.user,
            },
            secrets={PASSWORD_FILE: self.password},
            claims={"/var/lib/postgresql/data": data.metadata.name},
            scratch=["/tmp", "/run/postgresql"],
            shared_memory=args.settings.dev_shm,
            request_memory=args.memory or args.planned,
            memory=args.memory,
            port=PORT,
            start_timeout=args.start_timeout,
        )
        workload = single(identity, name, pod, self)
        front = service(identity, name, PORT, self, [workload])
        reachable(identity, name, PORT, CLIENTS, self)
        self.container = rolled_out(identity.context, workload, front, patience(pod))
        self.register_outputs({"container": self.container})
