"""The artifact store's S3 service, with a bucket and a user of its own."""

from dataclasses import dataclass

import pulumi

from infra.components.object_store import BUCKET, PORT, REGION, USER
from infra.components.secret_files import CREDENTIALS_PATH, credentials_file
from infra.components.server import S3Bucket
from infra.kubernetes.identity import Identity
from infra.kubernetes.network import allow_ingress, service
from infra.kubernetes.pod import CLIENT_LABELS, PodSettings
from infra.kubernetes.rollout import rolled_out
from infra.kubernetes.workload import ready_timeout, stateful_set, volume_claim
from infra.password import password
from infra.specification.cluster import ClusterSpec
from infra.specification.values import S3Engine

USERS = {S3Engine.MINIO: 10003, S3Engine.SEAWEEDFS: 10004}
"""The users of the images."""

REQUEST_MEMORY = 512 * 2**20


@dataclass(frozen=True, kw_only=True)
class ObjectStoreArgs:
    """Settings of the S3 service; memory in bytes."""

    identity: Identity
    image: pulumi.Input[str]
    cluster: ClusterSpec
    engine: S3Engine
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
        super().__init__(
            "mlflow-bench:kubernetes:ObjectStore", args.identity.logical(name), None, opts
        )
        user_password = password(args.identity.logical(f"{name}-password"), self)
        self.bucket = S3Bucket(
            bucket=BUCKET,
            endpoint=f"http://{name}:{PORT}",
            region=REGION,
            credentials_file=CREDENTIALS_PATH,
        )
        self.credentials = user_password.apply(lambda key: credentials_file(USER, key))
        identity = args.identity
        data = volume_claim(identity, args.engine.data_component, args.cluster, self)
        pod = PodSettings(
            image=args.image,
            command=[],
            user=USERS[args.engine],
            environment={"OBJECT_STORE_BUCKET": BUCKET, "OBJECT_STORE_USER": USER},
            secrets={
                "object-store-password": user_password,
                "object-store-root-password": password(
                    args.identity.logical(f"{name}-root-password"), self
                ),
            },
            claims={"/var/lib/object-store": data.metadata.name},
            request_memory=args.memory or REQUEST_MEMORY,
            memory=args.memory,
            port=PORT,
            start_timeout=args.start_timeout,
        )
        workload = stateful_set(identity, name, pod, self)
        front = service(identity, name, PORT, self, [workload])
        allow_ingress(identity, name, PORT, CLIENT_LABELS, self)
        self.container = rolled_out(identity.context, workload, front, ready_timeout(pod))
        self.register_outputs({"container": self.container})
