"""What a stack file may say: a typed, closed description that is checked before any resource."""

import difflib
import json
import re
from collections.abc import Collection, Mapping
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    SecretStr,
    Tag,
    ValidationError,
    model_validator,
)

from infra.capacity import MOST_WORKERS, Capacity, capacity
from infra.cluster import ClusterSpec, comma_separated
from infra.external import ExternalDatabase, ExternalNfs, ExternalS3, NfsVersion, StoreKind
from infra.outputs import Platform
from infra.postgres import least_memory
from infra.server import LOCAL_HOSTS

PROJECT = "mlflow-bench"

WORKER_MEMORY = 350 * 2**20
"""Bytes that one worker process needs; measured at 260 MiB idle."""

SERVER_MEMORY = 300 * 2**20
"""Bytes of the process that starts the workers."""

JOBS_MEMORY = 2 * 2**30
"""Bytes of MLflow's eight job consumers; measured at 230 MiB each."""

USUAL_REPLICAS = 3
"""Replicas on Kubernetes that PostgreSQL is made for, where a stack file does not say."""

UPDATING = 1
"""Replicas that a rolling update on Kubernetes has beside the others."""

REGISTRY_EXAMPLE = "registry.example.com/mlflow-bench"

_MEMORY_UNITS = {"m": 2**20, "g": 2**30}
_IMAGE = re.compile(r"[a-z0-9][\w./:-]*(:[\w][\w.-]*|@sha256:[0-9a-f]{64})", re.ASCII)
_REGISTRY = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*", re.ASCII
)
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)


class SpecError(ValueError):
    """A configuration that cannot be deployed; its text is one line for each mistake."""


class NfsClient(StrEnum):
    """What mounts an NFS artifact store."""

    AUTO = "auto"
    KERNEL = "kernel"
    FUSE = "fuse"


class S3Engine(StrEnum):
    """What serves the S3 artifact store."""

    MINIO = "minio"
    SEAWEEDFS = "seaweedfs"


class Data(StrEnum):
    """What people put into a stack."""

    DATABASE = "database"
    ARTIFACTS = "artifacts"


def _memory(value: object) -> object:
    match = re.fullmatch(r"(\d+)([mg])", str(value).strip().lower())
    if not match:
        raise ValueError("is not an amount of memory")
    return int(match[1]) * _MEMORY_UNITS[match[2]]


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise ValueError("is not an image reference with a tag or digest")
    if value.endswith(":latest"):
        raise ValueError("names no version: `latest` changes under a running stack")
    return value


def is_registry(value: str) -> bool:
    """Tell whether a text is the name of a registry, with or without a path in it."""
    return _REGISTRY.fullmatch(value) is not None


def _registry(value: str) -> str:
    if not is_registry(value):
        raise ValueError("is not a registry and a path in it, without https:// and without a tag")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value) and not _is_bracketed(value):
        raise ValueError(f"has {value!r}, which is not a bare host name or address")
    return value.lower()


def _is_bracketed(value: str) -> bool:
    """Tell whether a value is an IPv6 address as it stands in a URL."""
    try:
        return value == f"[{IPv6Address(value[1:-1])}]"
    except ValueError:
        return False


def _subnet(value: IPv4Network) -> IPv4Network:
    if not value.is_private or value.is_loopback or value.is_link_local:
        raise ValueError("is not a private network")
    if not 16 <= value.prefixlen <= 27:
        raise ValueError("has a prefix outside /16 to /27")
    return value


Memory = Annotated[int, BeforeValidator(_memory)]
Image = Annotated[str, AfterValidator(_image)]
Registry = Annotated[str, AfterValidator(_registry)]
Host = Annotated[str, AfterValidator(_host)]
Subnet = Annotated[IPv4Network, AfterValidator(_subnet)]


def _kind(value: object) -> str:
    """Tell a word, which is a store of the stack itself, from the kinds of external ones."""
    return str(value.get("kind")) if isinstance(value, dict) else getattr(value, "kind", _WORD)


_WORD = "word"
_OBJECTS: dict[str, dict[str, type[BaseModel]]] = {
    "artifacts": {"s3": ExternalS3, "nfs": ExternalNfs},
    "database": {"": ExternalDatabase},
    "kubernetes": {"": ClusterSpec},
}
"""Keys that may be objects, and their models by `kind`; the union below has the same."""

Artifacts = Annotated[
    Annotated[StoreKind, Tag(_WORD)]
    | Annotated[ExternalS3, Tag("s3")]
    | Annotated[ExternalNfs, Tag("nfs")],
    Discriminator(
        _kind,
        custom_error_type="kind",
        custom_error_message=f"`kind` is not one of {', '.join(_OBJECTS['artifacts'])}",
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
    mlflow: Path | None = Field(
        default=None,
        description="Your own mlflow to install: a wheel, or a source folder.",
        examples=["../mlflow"],
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
    def loads_inside(self) -> bool:
        """Whether a workload's load comes from a pod."""
        return self.kubernetes is not None and self.kubernetes.load_inside

    @property
    def server_memory(self) -> int:
        """Bytes that one replica needs."""
        return SERVER_MEMORY + self.workers * WORKER_MEMORY + self.jobs * JOBS_MEMORY

    @property
    def tracking_uri(self) -> str:
        """Address that a client on this machine uses."""
        local = self.bind.is_loopback or self.bind.is_unspecified
        return f"http://{'localhost' if local else self.bind}:{self.port}"

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
        return capacity(replicas=self.most_replicas + more, workers=self.workers, jobs=self.jobs)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if problems := _conflicts(self):
            raise ValueError("\n".join(problems))
        return self


def _conflicts(spec: DeploymentSpec) -> list[str]:
    """Return what single values cannot show: `key: value: reason; remedy`, one line each."""
    found = []
    if spec.artifacts is StoreKind.VOLUME and spec.all_replicas > 1:
        found.append(
            f"artifacts: volume: {spec.all_replicas} replicas would each keep artifacts that the "
            "others do not have; set artifacts s3 or nfs, or one zone and one replica"
        )
    if spec.subnets and len(spec.subnets) != spec.zones:
        found.append(
            f"subnets: {len(spec.subnets)} given: each of the {spec.zones} zone(s) needs one; "
            "give as many, or none"
        )
    for number, subnet in enumerate(spec.subnets):
        if any(subnet.overlaps(other) for other in spec.subnets[:number]):
            found.append(f"subnets: {subnet}: overlaps another zone's; give separate ones")
    found += _without_use(spec)
    found += _platform_conflicts(spec)
    if spec.load_image and not spec.loads_inside:
        found.append(
            "load_image: is of no use without kubernetes.load_inside; set that, or "
            "pulumi config rm load_image"
        )
    if isinstance(spec.artifacts, ExternalNfs) and spec.nfs_client is NfsClient.FUSE:
        found += [f"{line}; or set nfs_client kernel" for line in beyond_fuse(spec.artifacts)]
    found += _presigned_conflicts(spec)
    if spec.mlflow and spec.mlflow_image:
        found.append(
            f"mlflow: {spec.mlflow}: cannot be installed into mlflow_image, which is used as "
            "it is; remove one of the two"
        )
    if spec.bind.is_multicast or spec.bind.is_reserved or spec.bind == IPv4Address(2**32 - 1):
        found.append(f"bind: {spec.bind}: no machine has this address; set 127.0.0.1")
    elif not spec.bind.is_loopback and not set(spec.allowed_hosts) - set(LOCAL_HOSTS):
        found.append(
            f"bind: {spec.bind}: clients elsewhere would get 403 Invalid Host header; set "
            "allowed_hosts to the names they use"
        )
    needed = spec.server_memory
    if spec.mlflow_memory is not None and spec.mlflow_memory < needed:
        found.append(
            f"mlflow_memory: {_mebibytes(spec.mlflow_memory)}: {spec.workers} worker(s)"
            f"{' and the job consumers' if spec.jobs else ''} need {_mebibytes(needed)}; "
            "raise it or set fewer workers"
        )
    found += _postgres_conflicts(spec)
    return found


def _postgres_conflicts(spec: DeploymentSpec) -> list[str]:
    """Compare the workers with what PostgreSQL serves, and its connections with its memory."""
    kubernetes = spec.platform is Platform.KUBERNETES
    if spec.workers * spec.most_replicas > MOST_WORKERS:
        replicas = "replicas (kubernetes.max_replicas)" if kubernetes else "replicas in all"
        return [
            f"workers: {spec.workers}: with {spec.most_replicas} {replicas} they are "
            f"{spec.workers * spec.most_replicas}, more than the {MOST_WORKERS} that a stack may "
            "have; set fewer workers or replicas"
        ]
    connections = spec.capacity.max_connections
    least = least_memory(connections)
    if spec.postgres_memory is not None and spec.postgres_memory < least:
        most = "kubernetes.max_" if kubernetes else ""
        return [
            f"postgres_memory: {_mebibytes(spec.postgres_memory)}: PostgreSQL's {connections} "
            f"connections need {_mebibytes(least)}; raise it, or set fewer workers or "
            f"{most}replicas"
        ]
    return []


def _platform_conflicts(spec: DeploymentSpec) -> list[str]:
    """Return a line for each setting that the platform does not have."""
    if spec.platform is Platform.DOCKER:
        if spec.kubernetes is None:
            return []
        return ["kubernetes: is of no use with platform docker; pulumi config rm kubernetes"]
    found = []
    if spec.kubernetes is None:
        found.append(
            "kubernetes.context: is missing; set it as in: "
            "pulumi config set --path kubernetes.context NAME"
        )
    if spec.artifact_store is not StoreKind.S3:
        found.append(
            f"artifacts: {spec.artifact_store}: is not served on kubernetes yet; set artifacts s3"
        )
    if spec.presigned:
        found.append("presigned: true: is not served on kubernetes yet; set presigned false")
    if spec.zones > 1:
        found.append(
            f"zones: {spec.zones}: on kubernetes, replicas are spread over the cluster's own "
            "zones; set replicas instead, and zones 1"
        )
    if spec.jobs and spec.replicas > 1:
        found.append(
            "jobs: true: replicas on kubernetes are all alike, and one of them at most may run "
            "jobs; set replicas 1 or jobs false"
        )
    if spec.kubernetes is not None:
        found += _cluster_conflicts(spec, spec.kubernetes)
    idle = ("subnets", "nfs_client")
    found += [
        f"{key}: is of no use on kubernetes; pulumi config rm {key}"
        for key in idle
        if key in spec.model_fields_set
    ]
    return found


def _cluster_conflicts(spec: DeploymentSpec, cluster: ClusterSpec) -> list[str]:
    """Compare what is asked of the cluster with the rest, and in itself."""
    found = []
    most = cluster.max_replicas
    if most is not None and most < spec.replicas:
        found.append(
            f"kubernetes.max_replicas: {most}: is less than replicas {spec.replicas}; raise it"
        )
    if cluster.autoscale and spec.jobs:
        found.append(
            "kubernetes.autoscale: true: one replica at most may run jobs; set jobs false, or "
            "autoscale false"
        )
    elif cluster.autoscale and spec.most_replicas <= spec.replicas:
        found.append(
            f"kubernetes.autoscale: true: {spec.replicas} are the fewest and the most replicas; "
            "raise kubernetes.max_replicas"
        )
    if cluster.ingress_host is None:
        found += [
            f"kubernetes.{key}: is of no use without kubernetes.ingress_host; set that, or "
            f"pulumi config rm --path kubernetes.{key}"
            for key in ("ingress_tls_secret", "ingress_class")
            if key in cluster.model_fields_set
        ]
    if cluster.service_account_annotations and cluster.service_account is None:
        found.append(
            "kubernetes.service_account_annotations: is of no use without "
            "kubernetes.service_account; name one"
        )
    return found


def beyond_fuse(given: ExternalNfs) -> list[str]:
    """Return a line for each setting that only the kernel's NFS client has."""
    found = []
    if given.version is not NfsVersion.V4_1:
        found.append(f"artifacts.version: {given.version}: the FUSE client speaks 4.1; set that")
    if given.options is not None:
        found.append("artifacts.options: the FUSE client has none; remove them")
    return found


def _presigned_conflicts(spec: DeploymentSpec) -> list[str]:
    """Compare presigned access with the store, and its port with the others."""
    if spec.presigned and spec.artifact_store is not StoreKind.S3:
        return [
            f"presigned: true: artifacts {spec.artifact_store} has no presigned URLs; set "
            "artifacts s3, or presigned false"
        ]
    if spec.opens_s3 and spec.s3_port == spec.port:
        return [f"s3_port: {spec.s3_port}: is the tracking server's port; set another"]
    if not spec.opens_s3 and "s3_port" in spec.model_fields_set:
        return [
            f"s3_port: {spec.s3_port}: is of no use: only with presigned true and artifacts s3 is "
            "a port of S3 opened; pulumi config rm s3_port"
        ]
    return []


def _without_use(spec: DeploymentSpec) -> list[str]:
    """Return a line for each setting of a container that an external service stands in for."""
    idle: dict[str, tuple[str, ...]] = {}
    if spec.database is not None:
        idle["database"] = ("postgres_memory", "postgres_image")
    if isinstance(spec.artifacts, ExternalS3):
        idle["artifacts"] = ("s3_engine", "object_store_memory", "object_store_image")
    if isinstance(spec.artifacts, ExternalNfs):
        idle["artifacts"] = ("nfs_memory", "nfs_image")
    return [
        f"{key}: is of no use: {service} is outside the stack; pulumi config rm {key}"
        for service, keys in idle.items()
        for key in keys
        if key in spec.model_fields_set
    ]


def _mebibytes(size: int) -> str:
    return f"{size // 2**20}m"


def load_spec(
    config: Mapping[str, str],
    folder: Path,
    secret_keys: Collection[str] = (),
    stack_file: Path | None = None,
) -> DeploymentSpec:
    """Return the specification that Pulumi's `config` describes.

    `config` holds full keys (`mlflow-bench:port`) and values as text, structured ones as
    JSON; keys of other namespaces belong to providers and are left alone. Relative paths
    start at `folder`. `secret_keys` are the full keys whose values are encrypted in the stack
    file, wholly or in part; which part, only `stack_file` tells, if it is the one in use. Raises
    `SpecError` with one line for each mistake; no line holds a secret.
    """
    prefix = f"{PROJECT}:"
    values: dict[str, Any] = {
        key.removeprefix(prefix): _decoded(value)
        for key, value in config.items()
        if key.startswith(prefix)
    }
    for place, key in ((values, "mlflow"), *((values.get(key), "ca") for key in _OBJECTS)):
        if isinstance(place, dict) and isinstance(place.get(key), str):
            place[key] = folder / Path(place[key]).expanduser()
    hidden = {key.removeprefix(prefix) for key in secret_keys}
    try:
        spec = DeploymentSpec.model_validate(values)
    except ValidationError as error:
        lines = "\n".join(_lines(error, hidden))
        for key in hidden & values.keys():
            # Reasons that compare several values quote them.
            if isinstance(values[key], str) and values[key]:
                lines = lines.replace(values[key], "***")
        raise SpecError(lines) from None
    written = _written(stack_file)
    exposed = [
        path
        for path, secret in _secrets(spec).items()
        if path.split(".")[0] not in hidden or _at(written, prefix + path) == secret
    ]
    if exposed:
        raise SpecError(
            "\n".join(
                f"{path}: is plain text in the stack file; replace it, and encrypt the new one: "
                f"pulumi config set --secret --path {path}"
                for path in exposed
            )
        )
    return spec


def _secrets(spec: DeploymentSpec) -> dict[str, str]:
    """Return the secrets that are set, by their paths."""
    return {
        f"{key}.{name}": value.get_secret_value()
        for key in _OBJECTS
        if isinstance(given := getattr(spec, key), BaseModel)
        for name, value in given
        if isinstance(value, SecretStr)
    }


def _written(stack_file: Path | None) -> object:
    """Return the configuration as it stands in a stack file, secrets encrypted."""
    if stack_file is None or not stack_file.exists():
        return {}
    return (yaml.safe_load(stack_file.read_text()) or {}).get("config")


def _at(written: object, path: str) -> str | None:
    """Return what is written in plain text at a path, as `mlflow-bench:database.url`."""
    key, *names = path.split(".")
    found = written.get(key) if isinstance(written, dict) else None
    if isinstance(found, str):
        found = _decoded(found)
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    return None if found is None or isinstance(found, dict) else str(found)


def _decoded(value: str) -> object:
    """Pulumi hands lists and objects of a stack file over as JSON text."""
    if value.startswith(("[", "{")):
        try:
            return json.loads(value)
        except json.JSONDecodeError:
            return value
    return value


def _lines(error: ValidationError, hidden: Collection[str]) -> list[str]:
    """Return a line for each problem, without the values of the keys in `hidden`."""
    lines = []
    for problem in error.errors(include_url=False):
        own = str(problem["ctx"]["error"]) if problem["type"] == "value_error" else ""
        model, prefix, key = _place(problem["loc"])
        if not key:
            lines.append(f"{prefix}{own}")
            continue
        if problem["type"] == "extra_forbidden":
            lines.append(_unknown(model, prefix, key))
            continue
        # Of an object nothing is shown: it may have secrets in it, encrypted or not.
        secret = prefix or key in hidden or (key in _OBJECTS and "{" in str(problem["input"]))
        shown = "" if secret else f" {problem['input']!r}:"
        reason = own or problem["msg"][0].lower() + problem["msg"][1:]
        lines.append(
            f"{prefix}{key}:{shown} {reason}; set it as in: {_command(model, prefix, key)}"
        )
    return lines


def _place(loc: tuple[int | str, ...]) -> tuple[type[BaseModel], str, str]:
    """Return the model that a problem is in, the path to it, and the key; none: all of it."""
    if not loc:
        return DeploymentSpec, "", ""
    first, *rest = map(str, loc)
    kinds = _OBJECTS.get(first, {})
    if "" in kinds:
        rest.insert(0, "")
    if not rest or rest[0] not in kinds:
        return DeploymentSpec, "", first
    return kinds[rest[0]], f"{first}.", rest[1] if rest[1:] else ""


def _command(model: type[BaseModel], prefix: str, key: str) -> str:
    """Return how a person sets a key; one without an example is a secret."""
    examples = model.model_fields[key].examples
    options = "--path " if prefix else ""
    if not examples:
        return f"pulumi config set --secret {options}{prefix}{key}"
    return f"pulumi config set {options}{prefix}{key} {examples[0]}"


def _unknown(model: type[BaseModel], prefix: str, key: str) -> str:
    known = list(model.model_fields)
    close = difflib.get_close_matches(key, known, n=1)
    hint = f"did you mean {prefix}{close[0]}?" if close else f"known keys: {', '.join(known)}."
    path = "--path " if prefix else ""
    return (
        f"{prefix}{key}: is not a configuration key; {hint} "
        f"Remove it: pulumi config rm {path}{prefix}{key}"
    )
