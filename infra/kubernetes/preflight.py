"""Checks of the cluster and of this machine before anything is created."""

import shutil
from ipaddress import IPv4Address
from typing import Any

from kubernetes.client import ApiClient, ApisApi, CoreV1Api, VersionApi
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from infra.checks.ports import check_free
from infra.kubernetes import forward
from infra.kubernetes.access import configuration
from infra.kubernetes.local_cluster import load_command
from infra.labels import LABEL_STACK
from infra.specification.cluster import TEST_CONTEXT, ClusterSpec
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError

OLDEST_VERSION = (1, 30)
TIMEOUT_SECONDS = 10
METRICS_API = "metrics.k8s.io"
MONITORING_API = "monitoring.coreos.com"


def check_cluster(stack: str, cluster: ClusterSpec) -> None:
    """Raise `SpecError` for a cluster that is away or too old, or a namespace that is another's."""
    name = cluster.namespace_of(stack)
    client = _client(cluster.context)
    where = f"kubernetes.context: {cluster.context!r} at {client.configuration.host}"
    try:
        release: Any = VersionApi(client).get_code(_request_timeout=TIMEOUT_SECONDS)
        version = int(release.major), int(release.minor.rstrip("+"))
        if version < OLDEST_VERSION:
            raise SpecError(
                f"{where}: is Kubernetes {release.git_version}; 1.30 or newer is needed"
            )
        namespace: Any = CoreV1Api(client).read_namespace(name, _request_timeout=TIMEOUT_SECONDS)
    except ApiException as error:
        if error.status == 404:
            return
        raise SpecError(f"{where}: refuses: {error.status} {error.reason}") from None
    except (HTTPError, OSError) as error:
        start = (
            "start it: scripts/offline/cluster up"
            if cluster.context == TEST_CONTEXT
            else "start it, or name another context"
        )
        reason = str(getattr(error, "reason", error)).rpartition(": ")[2]
        raise SpecError(f"{where}: does not answer ({reason}); {start}") from None
    owner = (namespace.metadata.labels or {}).get(LABEL_STACK)
    if owner != stack:
        raise SpecError(
            f"kubernetes.namespace: {name!r}: exists already in {cluster.context} "
            + (f"and is stack {owner}'s" if owner else "and is not of this project")
            + "; name another: pulumi config set --path kubernetes.namespace NAME"
        )
    if namespace.status.phase == "Terminating":
        raise SpecError(f"kubernetes.namespace: {name!r}: is being removed; wait, or name another")


def takes_images(context: str) -> bool:
    """Tell whether images of this machine's Docker can be copied into a cluster."""
    command = load_command(context, "any")
    return context == TEST_CONTEXT or bool(command and shutil.which(command[0]))


def check_images(spec: DeploymentSpec, cluster: ClusterSpec) -> None:
    """Raise `SpecError` if the cluster cannot get an image, naming those that are missing."""
    if spec.image_registry is not None or takes_images(cluster.context):
        return
    command = load_command(cluster.context, "any")
    images = {"mlflow_image": spec.mlflow_image, "nginx_image": spec.nginx_image}
    if spec.database is None:
        images["postgres_image"] = spec.postgres_image
    if spec.uses_own_s3:
        images["object_store_image"] = spec.object_store_image
    if cluster.load_inside:
        images["load_image"] = spec.load_image
    missing = [key for key, image in images.items() if image is None]
    if missing:
        tool = f"install {command[0]}, which copies them there, or " if command else ""
        raise SpecError(
            f"image_registry: is missing: the cluster of {cluster.context!r} has no image that is "
            f"built here; {tool}push them to a registry of the cluster's: scripts/images push "
            "REGISTRY; then pulumi config set image_registry REGISTRY (or name images of your own: "
            f"{', '.join(missing)})"
        )


def check_monitoring(cluster: ClusterSpec) -> None:
    """Raise `SpecError` when monitoring is asked for and the cluster has no ServiceMonitor."""
    if cluster.monitoring is None:
        return
    groups = _groups(cluster)
    if groups is not None and MONITORING_API not in groups:
        raise SpecError(
            f"kubernetes.monitoring: the cluster of {cluster.context!r} has no ServiceMonitor "
            f"({MONITORING_API}); install the Prometheus operator, or leave monitoring out"
        )


def holds_data(context: str, namespace: str, claim: str) -> bool:
    """Tell whether a claim has a volume; also True when the cluster does not say."""
    try:
        volume_claim: Any = CoreV1Api(_client(context)).read_namespaced_persistent_volume_claim(
            claim, namespace, _request_timeout=TIMEOUT_SECONDS
        )
    except ApiException as error:
        return bool(error.status != 404)
    except (SpecError, HTTPError, OSError):
        return True
    return bool(volume_claim.status.phase == "Bound")


def no_metrics(cluster: ClusterSpec) -> str | None:
    """Return a warning if the cluster has no metrics, by which an autoscaler works."""
    groups = _groups(cluster)
    if groups is None or METRICS_API in groups:
        return None
    return (
        f"kubernetes.autoscale: the cluster of {cluster.context!r} has no {METRICS_API}, so there "
        "will be as many replicas as `replicas` says; install metrics-server"
    )


def _groups(cluster: ClusterSpec) -> set[str] | None:
    """Return the groups of the cluster's APIs; None when it does not answer."""
    api = ApisApi(_client(cluster.context))
    try:
        versions: Any = api.get_api_versions(_request_timeout=TIMEOUT_SECONDS)
    except (ApiException, HTTPError, OSError):
        return None  # `check_cluster` has a better message.
    return {group.name for group in versions.groups}


def _client(context: str) -> Any:
    access = configuration(context)
    access.retries = False
    return ApiClient(access)


def check_port(stack: str, bind: IPv4Address, port: int) -> None:
    """Raise `SpecError`, naming who uses `port`, unless it is free or the stack's own."""
    if port in forward.open_ports(stack).values():
        return
    check_free(bind, port, "port")
