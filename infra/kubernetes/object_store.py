"""The artifact store's S3 service, with a bucket and a user of its own."""

from dataclasses import dataclass

import pulumi
import pulumi_random as random

from infra.data import object_store
from infra.docker.object_store import BUCKET, CREDENTIALS_PATH, PORT, USER, credentials_file
from infra.kubernetes.identity import Identity
from infra.kubernetes.pod import CLIENTS, PodSpec, claim, patience, reachable, service, single
from infra.kubernetes.rollout import rolled_out
from infra.server import S3Bucket
from infra.spec import S3Engine

USERS = {S3Engine.MINIO: 10003, S3Engine.SEAWEEDFS: 10004}
"""The users of the images."""

REQUEST_MEMORY = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class ObjectStoreArgs:
    """Settings of the S3 service; memory in bytes."""

    identity: Identity
    image: pulumi.Input[str]
    engine: S3Engine
    storage: str
    storage_class: str | None
    memory: int | None
    start_timeout: int


class ObjectStore(pulumi.ComponentResource):
    """An S3 service on a volume; its user reaches this one bucket only."""

    bucket: S3Bucket
    """The bucket, for clients in the namespace."""

    credentials: pulumi.Output[str]
    """Content of the clients' credentials file; a secret."""

    container: pulumi.Output[str]
    """Name of the workload, known once the bucket can be used."""

    def __init__(
        self, name: str, args: ObjectStoreArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:kubernetes:ObjectStore", name, None, opts)
        password = self._password(f"{name}-password")
        self.bucket = S3Bucket(
            bucket=BUCKET,
            endpoint=f"http://{name}:{PORT}",
            region="us-east-1",
            credentials_file=CREDENTIALS_PATH,
        )
        self.credentials = password.apply(lambda key: credentials_file(USER, key))
        identity = args.identity
        data = claim(identity, object_store(args.engine), args.storage, args.storage_class, self)
        pod = PodSpec(
            image=args.image,
            command=[],
            user=USERS[args.engine],
            environment={"OBJECT_STORE_BUCKET": BUCKET, "OBJECT_STORE_USER": USER},
            secrets={
                "object-store-password": password,
                "object-store-root-password": self._password(f"{name}-root-password"),
            },
            claims={"/var/lib/object-store": data.metadata.name},
            request_memory=args.memory or REQUEST_MEMORY,
            memory=args.memory,
            port=PORT,
            start_timeout=args.start_timeout,
        )
        workload = single(identity, name, pod, self)
        front = service(identity, name, PORT, self, [workload])
        reachable(identity, name, PORT, CLIENTS, self)
        self.container = rolled_out(identity.context, workload, front, patience(pod))
        self.register_outputs({"container": self.container})

    def _password(self, name: str) -> pulumi.Output[str]:
        return random.RandomPassword(
            name, length=32, special=False, opts=pulumi.ResourceOptions(parent=self)
        ).result
