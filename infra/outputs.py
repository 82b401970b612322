"""The contract between a deployed stack and whatever tests it: output names and types."""

from enum import StrEnum
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

TARGET_OUTPUT = "target"
"""Name of the stack output that holds a `Target` as an object."""

TRACKING_URI_OUTPUT = "tracking_uri"
"""Name of the stack output that a person copies into `MLFLOW_TRACKING_URI`."""


CA_FILE_OUTPUT = "ca_file"
"""Name of the output of a stack with TLS that goes into `MLFLOW_TRACKING_SERVER_CERT_PATH`."""

ADMIN_PASSWORD_OUTPUT = "admin_password"
"""Name of the secret stack output with the password of `Target.username`, if there is one."""

SECRETS_OUTPUT = "audit_secrets"
"""Name of the secret stack output that holds `AuditSecrets` as an object."""

REPLICA_HEADER = "X-Mlflow-Bench-Replica"
"""Header of an answer with the component that gave it, where a load balancer is in front."""


class Platform(StrEnum):
    """What runs the components of a stack."""

    DOCKER = "docker"
    KUBERNETES = "kubernetes"


class Component(BaseModel):
    """One running container of the stack."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Component, as `postgres` or `mlflow-a-1`; unique in the stack.")
    kind: str = Field(description="Component kind, as `postgres`, `mlflow`, `nginx`.")
    container: str = Field(
        description="Name of its Docker container. On Kubernetes its workload, as "
        "`deployment/mlflow`: of several components with the same one, the n-th is the n-th by "
        "name of the pods that are ready."
    )
    image: str = Field(description="Digest of the image it runs, `sha256:…`.")
    zone: str | None = Field(default=None, description="Zone it runs in; None: in every zone.")
    address: str | None = Field(
        default=None, description="Its own address in its zone's network, if that is fixed."
    )
    audit: str | None = Field(
        default=None,
        description="`host:port` on this machine's loopback that leads to this one component, "
        "past the load balancer; of nginx, to its `/nginx-status`.",
    )
    ca_file: str | None = Field(
        default=None,
        description="File on the machine of the deployment, with the public certificates that a "
        "replica's is verified by at `audit`; None: it speaks no TLS there.",
    )

    @property
    def audit_uri(self) -> str | None:
        """Address that `audit` stands for."""
        return self.audit and f"{'https' if self.ca_file else 'http'}://{self.audit}"


class ZoneNetwork(BaseModel):
    """A zone and what connects its containers."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Zone, as `a`.")
    network: str = Field(description="Name of its Docker network.")


class Cluster(BaseModel):
    """Where in which cluster the components are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    context: str = Field(description="Context of the kubeconfig.")
    namespace: str = Field(description="Namespace of the stack.")
    tracking_uri: str | None = Field(
        default=None, description="Address of the tracking server, as a pod uses it."
    )
    load_image: str | None = Field(
        default=None,
        description="Image of the pod that the load comes from; None: it comes from the machine "
        "that the workload is started on.",
    )
    image_pull_secrets: tuple[str, ...] = Field(
        default=(), description="Secrets of the namespace that its image is pulled with."
    )


class BackendStore(BaseModel):
    """The database as checks reach it; its password is in `AuditSecrets`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = Field(description="Host of PostgreSQL, as this machine reaches it.")
    port: int = Field(description="Its TCP port.")
    database: str = Field(description="Name of the database.")
    user: str = Field(description="User of the tracking servers.")
    ca_file: str | None = Field(
        default=None,
        description="File on the machine of the deployment, with the public certificates that the "
        "database's is verified by; None: the stack's own has no TLS, or it is an external one.",
    )


class ArtifactStore(BaseModel):
    """The artifact store as checks reach it; its keys are in `AuditSecrets`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    uri: str = Field(description="Destination as the servers have it, as `s3://mlflow`.")
    volume: str | None = Field(default=None, description="Docker volume that it is on, if it is.")
    endpoint: str | None = Field(
        default=None, description="URL of the S3 service; None: AWS, or not S3."
    )
    region: str | None = Field(default=None, description="Region of the bucket; None: not S3.")


class AuditSecrets(BaseModel):
    """What checks need to read the stores themselves; None where there is none."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    database_password: str = Field(repr=False)
    s3_credentials: str | None = Field(
        default=None, repr=False, description="Content of a credentials file in AWS's format."
    )


class Target(BaseModel):
    """Everything that a workload may know about a deployed stack."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stack: str = Field(description="Stack name, as `local`.")
    platform: Platform = Field(description="`docker` or `kubernetes`.")
    tracking_uri: str = Field(description="Address of the tracking server, as a client uses it.")
    ca_file: str | None = Field(
        default=None,
        description="File on the machine of the deployment, with the public certificates that "
        "the server's is verified by; None: the usual ones, or no TLS.",
    )
    username: str | None = Field(
        default=None,
        description="User whose password is the output `admin_password`; None: nobody is asked "
        "who they are.",
    )
    workspaces: bool = Field(
        default=False,
        description="Whether MLflow's workspaces are on; a workload works in the default one.",
    )
    mlflow_version: str = Field(description="Version of mlflow that the replicas run.")
    artifacts: str = Field(description="Artifact store: `volume`, `s3` or `nfs`.")
    replicas: int = Field(ge=1, description="Number of MLflow replicas.")
    workers: int = Field(default=1, ge=1, description="Worker processes of each replica.")
    components: tuple[Component, ...] = Field(description="Every container of the stack.")
    zones: tuple[ZoneNetwork, ...] = Field(description="Every zone of the stack.")
    backend_store: BackendStore = Field(description="The database.")
    artifact_store: ArtifactStore = Field(description="Where files are.")
    cluster: Cluster | None = Field(default=None, description="None: not on Kubernetes.")


class Summary(BaseModel):
    """The small stack outputs, each by the name of its field: what other stacks refer to."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = Field(description="Address of the tracking server, as a client uses it.")
    database: str = Field(
        description="Backend store as `postgresql://user@host:port/name`, without a password."
    )
    artifacts: str = Field(description="Artifact store as the servers have it, as `s3://mlflow`.")
    replicas: int = Field(description="Number of MLflow replicas.")
    mlflow_version: str = Field(description="Version of mlflow that the replicas run.")


def summary(target: Target) -> Summary:
    """Return the small outputs of a stack; none is secret."""
    store = target.backend_store
    host = f"[{store.host}]" if ":" in store.host else store.host
    return Summary(
        url=target.tracking_uri,
        database=f"postgresql://{quote(store.user, safe='')}@{host}:{store.port}"
        f"/{quote(store.database, safe='')}",
        artifacts=target.artifact_store.uri,
        replicas=target.replicas,
        mlflow_version=target.mlflow_version,
    )
