"""What a stack file may say: a typed, closed description that is checked before any resource."""

from ipaddress import IPv4Address
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from infra.components.capacity import MOST_WORKERS, Capacity, capacity
from infra.components.oidc import SignOn
from infra.components.server import LOCAL_HOSTS
from infra.components.traces import ROLLUP_SCHEDULE, Traces
from infra.components.users import Auth, DefaultPermission, Users
from infra.outputs import Platform
from infra.specification.cluster import ClusterSpec, comma_separated
from infra.specification.conflicts import conflicts
from infra.specification.external import (
    ExternalDatabase,
    ExternalNfs,
    ExternalS3,
    StoreKind,
)
from infra.specification.oidc import OidcSpec
from infra.specification.tls import FILES, Tls, TlsFiles
from infra.specification.values import (
    REGISTRY_EXAMPLE,
    Age,
    Data,
    Host,
    Image,
    Memory,
    Mlflow,
    NfsClient,
    Registry,
    S3Engine,
    Schedule,
    Subnet,
    age_minutes,
)

WORKER_MEMORY = 350 * 2**20
"""Bytes that one worker process needs; measured at 260 MiB idle."""

SPANS_MEMORY = 300 * 2**20
"""Bytes that a worker takes above that while it works on spans as large as it accepts; measured."""

SERVER_MEMORY = 300 * 2**20
"""Bytes of the process that starts the workers."""

JOBS_MEMORY = 2 * 2**30
"""Bytes of MLflow's eight job consumers; measured at 230 MiB each."""

USUAL_REPLICAS = 3
"""Replicas on Kubernetes that PostgreSQL is made for, where a stack file does not say."""

UPDATING = 1
"""Replicas that a rolling update on Kubernetes has beside the others."""


def _kind(value: object) -> str:
    """Tell a word, which is a store of the stack itself, from the kinds of external ones."""
    return str(value.get("kind")) if isinstance(value, dict) else getattr(value, "kind", _WORD)


_WORD = "word"
OBJECTS: dict[str, dict[str, type[BaseModel]]] = {
    "artifacts": {"s3": ExternalS3, "nfs": ExternalNfs},
    "database": {"": ExternalDatabase},
    "kubernetes": {"": ClusterSpec},
    "oidc": {"": OidcSpec},
    "tls": {FILES: TlsFiles},
}
"""Keys that may be objects, and their models by `kind`; the union below has the same."""

Artifacts = Annotated[
    Annotated[StoreKind, Tag(_WORD)]
    | Annotated[ExternalS3, Tag("s3")]
    | Annotated[ExternalNfs, Tag("nfs")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message=f"`kind` is not one of {', '.join(OBJECTS['artifacts'])}",
    ),
]


def _object(value: object) -> object:
    if not isinstance(value, (dict, BaseModel)):
        raise ValueError(
            "url: is missing: database has to be an object; set it as in: "
            "pulumi config set --secret --path database.url"
        )
    return value


def _cluster(value: object) -> object:
    if not isinstance(value, (dict, BaseModel)):
        raise ValueError(
            "context: is missing: kubernetes has to be an object; set it as in: "
            "pulumi config set --path kubernetes.context NAME"
        )
    return value


def _provider(value: object) -> object:
    if not isinstance(value, (dict, BaseModel)):
        raise ValueError(
            "issuer: is missing: oidc has to be an object; set it as in: "
            "pulumi config set --path oidc.issuer https://login.example.com/realms/ml"
        )
    return value


class DeploymentSpec(BaseModel):
    """One deployment of a remote MLflow, as its stack file describes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    platform: Platform = Field(
        default=Platform.DOCKER,
        description="What runs the components: `docker` or `kubernetes`.",
        examples=["docker"],
    )
    kubernetes: Annotated[ClusterSpec, BeforeValidator(_cluster)] | None = Field(
        default=None,
        description="The cluster of a stack of platform `kubernetes`.",
        examples=["{context: …}"],
    )

    port: int = Field(
        default=5000,
        ge=1,
        le=65535,
        description="TCP port of the tracking server on this machine.",
        examples=["5000"],
    )
    bind: IPv4Address = Field(
        default=IPv4Address("127.0.0.1"),
        description="Address of this machine that the port is opened on.",
        examples=["127.0.0.1"],
    )
    allowed_hosts: Annotated[tuple[Host, ...], BeforeValidator(comma_separated)] = Field(
        default=(),
        description="Names, beside those of this machine for itself (`localhost`, `127.0.0.1`, "
        "`[::1]`), that clients may reach the server by.",
        examples=["mlflow.example.com"],
    )
    auth: Auth = Field(
        default=Auth.NONE,
        description="Who may use the server: `none`: everybody who reaches it, `basic`: MLflow's "
        "own users, by name and password, `oidc`: users whom an identity provider knows.",
        examples=["basic"],
    )
    oidc: Annotated[OidcSpec, BeforeValidator(_provider)] | None = Field(
        default=None,
        description="The identity provider of `auth: oidc`.",
        examples=["{issuer: …}"],
    )
    default_permission: DefaultPermission = Field(
        default=DefaultPermission.NONE,
        description="With users, what they may do with the experiments and models of others, "
        "where nobody gave them a permission: `none`, `read` or `edit`.",
        examples=["none"],
    )
    workspaces: bool = Field(
        default=False,
        description="Keep what teams have apart by MLflow's workspaces, each with its own "
        "experiments, runs, models, traces and artifacts. It takes users (`auth`) to keep anybody "
        "out of one.",
        examples=["true"],
    )
    tls: Tls = Field(
        default=False,
        description="Whether clients use TLS: `true`, with a certificate by an authority of the "
        "stack's own, or your own certificate as an object with its files.",
        examples=["true"],
    )
    tls_inside: bool = Field(
        default=False,
        description="With `tls`, also from nginx to the replicas, and from these and all jobs to "
        "the stack's own PostgreSQL.",
        examples=["true"],
    )
    artifacts: Artifacts = Field(
        default=StoreKind.VOLUME,
        description="Artifact store: `volume` beside the server, `s3` or `nfs` in the stack, or "
        "an external one as an object with its `kind`.",
        examples=["volume"],
    )
    s3_engine: S3Engine = Field(
        default=S3Engine.MINIO,
        description="What serves `artifacts: s3`: `minio` or `seaweedfs`.",
        examples=["minio"],
    )
    presigned: bool = Field(
        default=False,
        description="Let clients move large artifacts to and from S3 itself, by presigned URLs.",
        examples=["false"],
    )
    s3_port: int = Field(
        default=9000,
        ge=1,
        le=65535,
        description="TCP port of the stack's own S3 on this machine, for `presigned`.",
        examples=["9000"],
    )
    database: Annotated[ExternalDatabase, BeforeValidator(_object)] | None = Field(
        default=None,
        description="A PostgreSQL database outside the stack; without one, the stack has its own.",
        examples=["{url: …}"],
    )
    nfs_client: NfsClient = Field(
        default=NfsClient.AUTO,
        description="What mounts `nfs`: the engine's `kernel`, a `fuse` client in the replicas, or "
        "`auto`: the kernel where it can.",
        examples=["auto"],
    )
    zones: int = Field(
        default=1,
        ge=1,
        le=8,
        description="Zones, each with a network and replicas of its own.",
        examples=["2"],
    )
    replicas: int = Field(
        default=1,
        ge=1,
        le=16,
        description="MLflow replicas in each zone; with more than one in all, nginx is in front.",
        examples=["1"],
    )
    workers: int = Field(
        default=1,
        ge=1,
        le=64,
        description=f"Worker processes of a replica; all replicas have {MOST_WORKERS} at most.",
        examples=["1"],
    )
    jobs: bool = Field(
        default=False,
        description="Run MLflow's job consumers (scheduled evaluation); they need 2 GiB.",
        examples=["false"],
    )
    trace_archival: Age | None = Field(
        default=None,
        description="Age from which on the spans of a trace are moved from the database to the "
        "artifact store, where servers read them: minutes, hours or days. Without it they stay.",
        examples=["30d"],
    )
    trace_retention: Age | None = Field(
        default=None,
        description="Age from which on traces are deleted, archived ones, too. Without it they are "
        "kept.",
        examples=["365d"],
    )
    trace_rollups: bool = Field(
        default=False,
        description="Keep figures of traces ready for each past day, for the dashboards.",
        examples=["true"],
    )
    trace_rollup_schedule: Schedule = Field(
        default=ROLLUP_SCHEDULE,
        description="When rollups are built: five fields of cron, in UTC.",
        examples=[f"'{ROLLUP_SCHEDULE}'"],
    )
    subnets: Annotated[tuple[Subnet, ...], BeforeValidator(comma_separated)] = Field(
        default=(),
        description="Subnet of each zone; without them, free ones are chosen.",
        examples=["10.89.0.0/24"],
    )
    mlflow_memory: Memory | None = Field(
        default=None,
        description="Memory limit of a replica; without it there is none.",
        examples=["1g"],
    )
    postgres_memory: Memory | None = Field(
        default=None,
        description="Memory limit of PostgreSQL, which its settings follow; without it there is "
        "none, and they follow a quarter of the machine's memory.",
        examples=["1g"],
    )
    object_store_memory: Memory | None = Field(
        default=None,
        description="Memory limit of the object store; without it there is none.",
        examples=["1g"],
    )
    nfs_memory: Memory | None = Field(
        default=None,
        description="Memory limit of the NFS server; without it there is none.",
        examples=["1g"],
    )
    trace_jobs_memory: Memory | None = Field(
        default=None,
        description="Memory limit of the process that archives, deletes and sums up traces; "
        "without it there is none.",
        examples=["1g"],
    )
    mlflow: Mlflow | None = Field(
        default=None,
        description="The mlflow to install in place of the pinned one: a release by its number, or "
        "your own, as a wheel or a source folder.",
        examples=["3.16.1"],
    )
    mlflow_image: Image | None = Field(
        default=None,
        description="Image to run instead of building the one of this project.",
        examples=["registry.example.com/mlflow-bench/mlflow:3.17.2"],
    )
    postgres_image: Image | None = Field(
        default=None,
        description="Image to run instead of building the one of this project.",
        examples=["registry.example.com/mlflow-bench/postgres:17"],
    )
    object_store_image: Image | None = Field(
        default=None,
        description="Image to run instead of building the one of `s3_engine`.",
        examples=["registry.example.com/mlflow-bench/minio:1"],
    )
    nfs_image: Image | None = Field(
        default=None,
        description="Image to run instead of building the one of this project.",
        examples=["registry.example.com/mlflow-bench/nfs:1"],
    )
    nginx_image: Image | None = Field(
        default=None,
        description="Image to run instead of building the one of this project.",
        examples=["registry.example.com/mlflow-bench/nginx:1"],
    )
    load_image: Image | None = Field(
        default=None,
        description="Image to run for `kubernetes.load_inside` instead of building the one of this "
        "project.",
        examples=["registry.example.com/mlflow-bench/workload:1"],
    )
    image_registry: Registry | None = Field(
        default=None,
        description="Registry to pull this project's images from instead of building them: where "
        "`scripts/images push` has put them. An own `mlflow` is built all the same, unless the "
        "cluster takes no image that is built here.",
        examples=[REGISTRY_EXAMPLE],
    )
    base_image: Image = Field(
        default="debian:trixie-slim",
        description="Debian image that this project's images are built on.",
        examples=["debian:trixie-slim"],
    )
    discard_data: Annotated[tuple[Data, ...], BeforeValidator(comma_separated)] = Field(
        default=(),
        description="Data that the next deployment may remove: `database`, `artifacts`, or both. "
        "Without it, a change that would remove data is refused; and so is this key, once nothing "
        "is removed by it.",
        examples=["artifacts"],
    )
    start_timeout: int = Field(
        default=180,
        ge=10,
        le=3600,
        description="Seconds that a component may take to become ready.",
        examples=["180"],
    )

    @property
    def artifact_store(self) -> StoreKind:
        """What kind of store the artifacts are in, the stack's own or an external one."""
        return self.artifacts if isinstance(self.artifacts, StoreKind) else self.artifacts.kind

    @property
    def opens_s3(self) -> bool:
        """Whether clients use the stack's own S3, at `s3_port`."""
        return self.presigned and self.artifacts is StoreKind.S3

    @property
    def uses_own_s3(self) -> bool:
        """Whether the artifacts are in an S3 service of the stack's own."""
        return self.artifacts is StoreKind.S3

    @property
    def balanced(self) -> bool:
        """Whether a load balancer is in front of the replicas."""
        return self.platform is Platform.KUBERNETES or self.all_replicas > 1 or bool(self.tls)

    @property
    def hosts(self) -> tuple[str, ...]:
        """Names that the server answers to: this machine's own first, then those of others."""
        ingress = self.kubernetes.ingress_host if self.kubernetes else None
        others = (*self.allowed_hosts, *([ingress] if ingress else []))
        return tuple(dict.fromkeys((*LOCAL_HOSTS, *others)))

    @property
    def loads_inside(self) -> bool:
        """Whether a workload's load comes from a pod."""
        return self.kubernetes is not None and self.kubernetes.load_inside

    @property
    def server_memory(self) -> int:
        """Bytes that one replica needs in everyday use."""
        return SERVER_MEMORY + self.workers * WORKER_MEMORY + self.jobs * JOBS_MEMORY

    @property
    def most_server_memory(self) -> int:
        """Bytes that one replica needs while all its workers have the largest spans."""
        return self.server_memory + self.workers * SPANS_MEMORY

    @property
    def users(self) -> Users | None:
        """What the servers know of users; None: they ask nobody who they are."""
        return Users(self.default_permission, self._sign_on) if self.auth.has_users else None

    @property
    def _sign_on(self) -> SignOn | None:
        provider = self.oidc
        if provider is None or self.auth is not Auth.OIDC:
            return None
        return SignOn(
            issuer=provider.issuer,
            client_id=provider.client_id,
            audience=provider.audience or provider.client_id,
            username_claim=provider.username_claim,
            groups_claim=provider.groups_claim,
            admin_groups=provider.admin_groups,
            allowed_groups=provider.allowed_groups,
            session_seconds=60 * age_minutes(provider.session),
            has_ca=provider.ca is not None,
            tls=bool(self.tls),
        )

    @property
    def traces(self) -> Traces:
        """What becomes of traces as they grow older."""
        return Traces(
            archive_after=self.trace_archival,
            delete_after=self.trace_retention,
            rollups=self.trace_rollups,
            rollup_schedule=self.trace_rollup_schedule,
        )

    @property
    def tracking_uri(self) -> str:
        """Address that a client on this machine uses."""
        local = self.bind.is_loopback or self.bind.is_unspecified
        host = "localhost" if local else str(self.bind)
        if isinstance(self.tls, TlsFiles):
            # What a public authority's certificate can be for.
            host = next((name for name in self.allowed_hosts if name not in LOCAL_HOSTS), host)
        return f"{'https' if self.tls else 'http'}://{host}:{self.port}"

    @property
    def all_replicas(self) -> int:
        """Number of replicas in all zones together."""
        return self.zones * self.replicas

    @property
    def most_replicas(self) -> int:
        """Number of replicas that may be there without a change to PostgreSQL."""
        if self.kubernetes is None:
            return self.all_replicas
        if self.kubernetes.max_replicas is not None:
            return self.kubernetes.max_replicas
        usual = 1 if self.jobs else min(USUAL_REPLICAS, MOST_WORKERS // self.workers)
        return max(self.replicas, usual)

    @property
    def capacity(self) -> Capacity:
        """Pool and connection limits for the most replicas, each with so many workers."""
        more = UPDATING if self.platform is Platform.KUBERNETES else 0
        return capacity(
            replicas=self.most_replicas + more,
            workers=self.workers,
            jobs=self.jobs,
            users=self.users is not None,
            workspaces=self.workspaces,
        )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := list(conflicts(self)):
            raise ValueError("\n".join(problems))
        return self
