"""What single values of a stack file cannot show: settings that do not fit together."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address
from typing import TYPE_CHECKING

from pydantic import BaseModel

from infra import releases
from infra.components.capacity import MOST_WORKERS
from infra.components.postgres import least_memory
from infra.components.server import LOCAL_HOSTS
from infra.components.traces import MEMORY as TRACE_JOBS_MEMORY
from infra.components.users import Auth
from infra.outputs import Platform
from infra.releases import contents, version_of
from infra.specification.cluster import ClusterSpec
from infra.specification.external import ExternalNfs, ExternalS3, NfsVersion, StoreKind
from infra.specification.values import NfsClient, age_minutes

if TYPE_CHECKING:
    from infra.specification.deployment import DeploymentSpec


def conflicts(spec: "DeploymentSpec") -> Iterator[str]:
    """Yield what single values cannot show: `key: value: reason; remedy`, one line each."""
    if spec.artifacts is StoreKind.VOLUME and spec.all_replicas > 1:
        yield (
            f"artifacts: volume: {spec.all_replicas} replicas would each keep artifacts that the "
            "others do not have; set artifacts s3 or nfs, or one zone and one replica"
        )
    if spec.subnets and len(spec.subnets) != spec.zones:
        yield (
            f"subnets: {len(spec.subnets)} given: each of the {spec.zones} zone(s) needs one; "
            "give as many, or none"
        )
    for number, subnet in enumerate(spec.subnets):
        if any(subnet.overlaps(other) for other in spec.subnets[:number]):
            yield f"subnets: {subnet}: overlaps another zone's; give separate ones"
    yield from _unused(spec)
    yield from _platform_conflicts(spec)
    if spec.load_image and not spec.loads_inside:
        yield (
            "load_image: is of no use without kubernetes.load_inside; set that, or "
            "pulumi config rm load_image"
        )
    if isinstance(spec.artifacts, ExternalNfs) and spec.nfs_client is NfsClient.FUSE:
        for line in beyond_fuse(spec.artifacts):
            yield f"{line}; or set nfs_client kernel"
    yield from _presigned_conflicts(spec)
    if spec.tls and spec.opens_s3 and not spec.bind.is_loopback:
        yield (
            "presigned: true: the stack's own S3 speaks no TLS, and clients elsewhere would send "
            "files to it in the clear; set presigned false, or tls false"
        )
    if spec.tls_inside and not spec.tls:
        yield (
            "tls_inside: true: is of no use where clients' own way has no TLS; set tls true, or "
            "pulumi config rm tls_inside"
        )
    if spec.tls_inside and spec.jobs:
        yield (
            "jobs: true: MLflow's judges ask the gateway of their own server, and know no authority"
            " of a stack's own; set jobs false, or pulumi config rm tls_inside"
        )
    if spec.mlflow and spec.mlflow_image:
        yield (
            f"mlflow: {spec.mlflow}: cannot be installed into mlflow_image, which is used as "
            "it is; remove one of the two"
        )
    if spec.bind.is_multicast or spec.bind.is_reserved or spec.bind == IPv4Address(2**32 - 1):
        yield f"bind: {spec.bind}: no machine has this address; set 127.0.0.1"
    elif not spec.bind.is_loopback and not set(spec.allowed_hosts) - set(LOCAL_HOSTS):
        yield (
            f"bind: {spec.bind}: clients elsewhere would get 403 Invalid Host header; set "
            "allowed_hosts to the names they use"
        )
    needed = spec.most_server_memory
    if spec.mlflow_memory is not None and spec.mlflow_memory < needed:
        yield (
            f"mlflow_memory: {_mebibytes(spec.mlflow_memory)}: {spec.workers} worker(s)"
            f"{' and the job consumers' if spec.jobs else ''} need {_mebibytes(needed)}, with "
            "large traces; raise it or set fewer workers"
        )
    yield from _release_conflicts(spec)
    yield from _user_conflicts(spec)
    if spec.workspaces and isinstance(spec.mlflow, str) and spec.mlflow != releases.pinned():
        yield (
            f"workspaces: true: that they keep teams apart is tried with mlflow "
            f"{releases.pinned()} only; pulumi config rm mlflow, or set workspaces false"
        )
    yield from _postgres_conflicts(spec)
    yield from _trace_conflicts(spec)


def _release_conflicts(spec: "DeploymentSpec") -> Iterator[str]:
    """Yield a line for each setting that this release of mlflow has no code for."""
    asked = {
        key: value
        for key in _set(spec, *contents.FEATURES)
        if (value := getattr(spec, key)) not in (None, False, Auth.NONE)
    }
    # What an image holds that is given, it says itself.
    if not asked or spec.mlflow_image:
        return
    for key in contents.lacks(spec.mlflow):
        if key in asked:
            yield (
                f"{key}: {str(asked[key]).lower()}: mlflow {version_of(spec.mlflow)} has not "
                f"what it needs; pulumi config rm {key}, or set mlflow to a release that has"
            )


def _user_conflicts(spec: "DeploymentSpec") -> Iterator[str]:
    """Compare what is said of users with whether there are any, and with who has no password."""
    if not spec.auth.has_users and "default_permission" in spec.model_fields_set:
        yield (
            "default_permission: is of no use without users; set auth basic, or "
            "pulumi config rm default_permission"
        )
    if spec.auth is Auth.OIDC and spec.oidc is None:
        yield (
            "oidc.issuer: is missing: auth oidc needs an identity provider; set it as in: "
            "pulumi config set --path oidc.issuer https://login.example.com/realms/ml"
        )
    if spec.auth is not Auth.OIDC and spec.oidc is not None:
        yield f"oidc: is of no use with auth {spec.auth}; set auth oidc, or pulumi config rm oidc"


def _trace_conflicts(spec: "DeploymentSpec") -> Iterator[str]:
    """Compare what is done to traces at which age."""
    archived, deleted = spec.trace_archival, spec.trace_retention
    if archived and deleted and age_minutes(deleted) <= age_minutes(archived):
        yield (
            f"trace_archival: {archived}: traces are deleted before, after {deleted} "
            "(trace_retention); set a shorter age, or pulumi config rm trace_archival"
        )
    if not spec.trace_rollups and "trace_rollup_schedule" in spec.model_fields_set:
        yield (
            "trace_rollup_schedule: is of no use without trace_rollups; set that true, or "
            "pulumi config rm trace_rollup_schedule"
        )

    if spec.trace_jobs_memory is None:
        return
    if not spec.traces.have_jobs:
        yield (
            "trace_jobs_memory: is of no use without trace_archival, trace_retention or "
            "trace_rollups; set one of them, or pulumi config rm trace_jobs_memory"
        )
    elif spec.trace_jobs_memory < TRACE_JOBS_MEMORY:
        yield (
            f"trace_jobs_memory: {_mebibytes(spec.trace_jobs_memory)}: the jobs need "
            f"{_mebibytes(TRACE_JOBS_MEMORY)}; raise it"
        )


def _postgres_conflicts(spec: "DeploymentSpec") -> Iterator[str]:
    """Compare the workers with what PostgreSQL serves, and its connections with its memory."""
    kubernetes = spec.platform is Platform.KUBERNETES
    if spec.workers * spec.most_replicas > MOST_WORKERS:
        replicas = "replicas (kubernetes.max_replicas)" if kubernetes else "replicas in all"
        yield (
            f"workers: {spec.workers}: with {spec.most_replicas} {replicas} they are "
            f"{spec.workers * spec.most_replicas}, more than the {MOST_WORKERS} that a stack may "
            "have; set fewer workers or replicas"
        )
        return
    connections = spec.capacity.max_connections
    least = least_memory(connections)
    if spec.postgres_memory is not None and spec.postgres_memory < least:
        most = "kubernetes.max_" if kubernetes else ""
        yield (
            f"postgres_memory: {_mebibytes(spec.postgres_memory)}: PostgreSQL's {connections} "
            f"connections need {_mebibytes(least)}; raise it, or set fewer workers or "
            f"{most}replicas"
        )


def _platform_conflicts(spec: "DeploymentSpec") -> Iterator[str]:
    """Yield a line for each setting that the platform does not have."""
    if spec.platform is Platform.DOCKER:
        if spec.kubernetes is not None:
            yield "kubernetes: is of no use with platform docker; pulumi config rm kubernetes"
        return
    if spec.kubernetes is None:
        yield (
            "kubernetes.context: is missing; set it as in: "
            "pulumi config set --path kubernetes.context NAME"
        )
    if spec.artifact_store is not StoreKind.S3:
        yield f"artifacts: {spec.artifact_store}: is not served on kubernetes yet; set artifacts s3"
    if spec.presigned:
        yield "presigned: true: is not served on kubernetes yet; set presigned false"
    if spec.zones > 1:
        yield (
            f"zones: {spec.zones}: on kubernetes, replicas are spread over the cluster's own "
            "zones; set replicas instead, and zones 1"
        )
    if spec.jobs and spec.replicas > 1:
        yield (
            "jobs: true: replicas on kubernetes are all alike, and one of them at most may run "
            "jobs; set replicas 1 or jobs false"
        )
    if spec.kubernetes is not None:
        yield from _cluster_conflicts(spec, spec.kubernetes)
    for key in _set(spec, "subnets", "nfs_client"):
        yield f"{key}: is of no use on kubernetes; pulumi config rm {key}"


def _cluster_conflicts(spec: "DeploymentSpec", cluster: ClusterSpec) -> Iterator[str]:
    """Compare what is asked of the cluster with the rest, and in itself."""
    most = cluster.max_replicas
    if most is not None and most < spec.replicas:
        yield f"kubernetes.max_replicas: {most}: is less than replicas {spec.replicas}; raise it"
    if cluster.autoscale and spec.jobs:
        yield (
            "kubernetes.autoscale: true: one replica at most may run jobs; set jobs false, or "
            "autoscale false"
        )
    elif cluster.autoscale and spec.most_replicas <= spec.replicas:
        yield (
            f"kubernetes.autoscale: true: {spec.replicas} are the fewest and the most replicas; "
            "raise kubernetes.max_replicas"
        )
    if cluster.ingress_host is None:
        for key in _set(cluster, "ingress_tls_secret", "ingress_class"):
            yield (
                f"kubernetes.{key}: is of no use without kubernetes.ingress_host; set that, or "
                f"pulumi config rm --path kubernetes.{key}"
            )
    if cluster.service_account_annotations and cluster.service_account is None:
        yield (
            "kubernetes.service_account_annotations: is of no use without "
            "kubernetes.service_account; name one"
        )


def beyond_fuse(export: ExternalNfs) -> Iterator[str]:
    """Yield a line for each setting that only the kernel's NFS client has."""
    if export.version is not NfsVersion.V4_1:
        yield f"artifacts.version: {export.version}: the FUSE client speaks 4.1; set that"
    if export.options is not None:
        yield "artifacts.options: the FUSE client has none; remove them"


def _presigned_conflicts(spec: "DeploymentSpec") -> Iterator[str]:
    """Compare presigned access with the store, and its port with the others."""
    if spec.presigned and spec.artifact_store is not StoreKind.S3:
        yield (
            f"presigned: true: artifacts {spec.artifact_store} has no presigned URLs; set "
            "artifacts s3, or presigned false"
        )
    elif spec.opens_s3 and spec.s3_port == spec.port:
        yield f"s3_port: {spec.s3_port}: is the tracking server's port; set another"
    elif not spec.opens_s3 and "s3_port" in spec.model_fields_set:
        yield (
            f"s3_port: {spec.s3_port}: is of no use: only with presigned true and artifacts s3 is "
            "a port of S3 opened; pulumi config rm s3_port"
        )


def _unused(spec: "DeploymentSpec") -> Iterator[str]:
    """Yield a line for each setting of a container that an external service stands in for."""
    keys: list[str] = []
    if isinstance(spec.artifacts, ExternalS3):
        keys = ["s3_engine", "object_store_memory", "object_store_image"]
    elif isinstance(spec.artifacts, ExternalNfs):
        keys = ["nfs_memory", "nfs_image"]
    external = {"artifacts": _set(spec, *keys)}
    if spec.database is not None:
        external = {"database": _set(spec, "postgres_memory", "postgres_image")} | external
    for service, idle in external.items():
        for key in idle:
            yield f"{key}: is of no use: {service} is outside the stack; pulumi config rm {key}"


def _set(model: BaseModel, *keys: str) -> Sequence[str]:
    """Return those of `keys` that a stack file has."""
    return [key for key in keys if key in model.model_fields_set]


def _mebibytes(size: int) -> str:
    return f"{size // 2**20}m"
