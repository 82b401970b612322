"""The artifact store's S3 service, with a bucket and a user of its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pulumi
import pulumi_docker as docker
import pulumi_random as random

from infra.data import object_store
from infra.docker.container import ContainerSpec, run_container
from infra.docker.files import SECRETS_FOLDER
from infra.docker.identity import Identity
from infra.docker.volume import volume
from infra.docker.zone import Zone
from infra.server import S3Bucket
from infra.spec import S3Engine

CREDENTIALS_FILE = "aws-credentials"
"""Name of the secret from which a client of the bucket reads its keys, in AWS's format."""

CREDENTIALS_PATH = PurePosixPath(SECRETS_FOLDER) / CREDENTIALS_FILE

BUCKET = "mlflow"
USER = "mlflow"
PORT = 9000


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


def credentials_file(access_key: str, secret_key: str, session_token: str | None = None) -> str:
    """Return the content of a credentials file as boto3 reads it."""
    lines = [
        "[default]",
        f"aws_access_key_id={access_key}",
        f"aws_secret_access_key={secret_key}",
    ]
    if session_token is not None:
        lines.append(f"aws_session_token={session_token}")
    return "\n".join(lines) + "\n"


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
        super().__init__("mlflow-bench:docker:ObjectStore", name, None, opts)
        password = self._password(f"{name}-password")
        self.bucket = S3Bucket(
            bucket=BUCKET,
            endpoint=f"http://{name}:{PORT}",
            region="us-east-1",
            credentials_file=CREDENTIALS_PATH,
            presigned_endpoint=args.presigned_endpoint,
        )
        self.credentials = password.apply(lambda key: credentials_file(USER, key))
        data = volume(args.identity, f"{object_store(args.engine)}-data", self, holds_data=True)
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
                    "object-store-password": password,
                    "object-store-root-password": self._password(f"{name}-root-password"),
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

    def _password(self, name: str) -> pulumi.Output[str]:
        return random.RandomPassword(
            name, length=32, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result
