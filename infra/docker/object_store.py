"""The artifact store's S3 service, with a bucket and a user of its own."""

from collections.abc import Sequence
from dataclasses import dataclass

import pulumi
import pulumi_docker as docker

from infra.components.object_store import BUCKET, PORT, REGION, USER
from infra.components.secret_files import CREDENTIALS_PATH, credentials_file
from infra.components.server import S3Bucket
from infra.docker.container import ContainerSpec, run_container
from infra.docker.identity import Identity
from infra.docker.volume import volume
from infra.docker.zone import Zone
from infra.password import password
from infra.specification.values import S3Engine


@dataclass(frozen=True, kw_only=True)
class ObjectStoreArgs:
    """Settings of the S3 service; memory in bytes.

    `ports` open its port on the machine; `presigned_endpoint` is its address there for clients, if
    they are to use it.
    """

    identity: Identity
    image: pulumi.Input[str]
    engine: S3Engine
    zones: Sequence[Zone]
    ports: Sequence[docker.ContainerPortArgs]
    presigned_endpoint: str | None
    memory: int | None
    start_timeout: int


class ObjectStore(pulumi.ComponentResource):
    """An S3 service on a volume; its user reaches this one bucket only."""

    bucket: S3Bucket
    """The bucket, for clients in the stack's networks."""

    credentials: pulumi.Output[str]
    """Content of the clients' credentials file; a secret."""

    container: pulumi.Output[str]
    """Name of the container, known once the bucket can be used."""

    def __init__(
        self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:docker:ObjectStore", args.identity.logical(name), None, opts)
        user_password = password(args.identity.logical(f"{name}-password"), self)
        self.bucket = S3Bucket(
            bucket=BUCKET,
            endpoint=f"http://{name}:{PORT}",
            region=REGION,
            credentials_file=CREDENTIALS_PATH,
            presigned_endpoint=args.presigned_endpoint,
        )
        self.credentials = user_password.apply(lambda key: credentials_file(USER, key))
        data = volume(args.identity, f"{args.engine.data_component}-data", self, holds_data=True)
        container = run_container(
            args.identity,
            name,
            ContainerSpec(
                image=args.image,
                command=[],
                environment={"OBJECT_STORE_BUCKET": BUCKET, "OBJECT_STORE_USER": USER},
                networks=[zone.attach(name) for zone in args.zones],
                folders={"/var/lib/object-store": data.name},
                secrets={
                    "object-store-password": user_password,
                    "object-store-root-password": password(
                        args.identity.logical(f"{name}-root-password"), self
                    ),
                },
                memory=args.memory,
                ports=args.ports,
                ready_command=["ready"],
                start_timeout=args.start_timeout,
            ),
            self,
        )
        self.container = container.name
        self.register_outputs({"container": self.container})
