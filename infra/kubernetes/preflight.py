"""Looks at the cluster and this machine before anything is created."""

import shutil
import socket
from ipaddress import IPv4Address
from typing import Any

from kubernetes.client import ApiClient, ApisApi, CoreV1Api, VersionApi
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from infra.cluster import TEST_CONTEXT, ClusterSpec
from infra.docker.identity import LABEL_STACK
from infra.docker.preflight import port_problem
from infra.kubernetes import forward
from infra.kubernetes.access import configuration
from infra.kubernetes.local_cluster import load_command
from infra.spec import DeploymentSpec, SpecError

OLDEST = (1, 30)
TIMEOUT_SECONDS = 10
METRICS = "metrics.k8s.io"
MONITORING = "monitoring.coreos.com"


def check_cluster(stack: str, cluster: ClusterSpec) -> None:
    """Raise `SpecError` when the cluster is not there, too old, or the namespace another's."""
    name = cluster.namespace_of(stack)
    access = configuration(cluster.context)
    access.retries = False
    where = f"kubernetes.context: {cluster.context!r} at {access.host}"
    client = ApiClient(access)
    try:
        found: Any = VersionApi(client).get_code(_request_timeout=TIMEOUT_SECONDS)
        version = int(found.major), int(found.minor.rstrip("+"))
        if version < OLDEST:
            raise SpecError(f"{where}: is Kubernetes {found.git_version}; 1.30 or newer is needed")
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
    """Raise `SpecError` for each image that the cluster would miss, or the tool that brings it."""
    if spec.image_registry is not None or takes_images(cluster.context):
        return
    command = load_command(cluster.context, "any")
    wanted = {"mlflow_image": spec.mlflow_image, "nginx_image": spec.nginx_image}
    if spec.database is None:
        wanted["postgres_image"] = spec.postgres_image
    if spec.uses_own_s3:
        wanted["object_store_image"] = spec.object_store_image
    if cluster.load_inside:
        wanted["load_image"] = spec.load_image
    missing = [key for key, image in wanted.items() if image is None]
    if missing:
        tool = f"install {command[0]}, which copies them there, or " if command else ""
        raise SpecError(
            f"image_registry: is missing: the cluster of {cluster.context!r} has no image that is "
            f"built here; {tool}push them to a registry of the cluster's: scripts/images push "
            "REGISTRY; then pulumi config set image_registry REGISTRY (or name images of your own: "
            f"{', '.join(missing)})"
        )


def check_monitoring(cluster: ClusterSpec) -> None:
    """Raise `SpecError` when the cluster does not know what the figures are to be told to."""
    if cluster.monitoring is None:
        return
    groups = _groups(cluster)
    if groups is not None and MONITORING not in groups:
        raise SpecError(
            f"kubernetes.monitoring: the cluster of {cluster.context!r} has no ServiceMonitor "
            f"({MONITORING}); install the Prometheus operator, or leave monitoring out"
        )


def holds_data(context: str, namespace: str, claim: str) -> bool:
    """Tell whether a claim is there and has a volume, or the cluster does not say."""
    try:
        access = configuration(context)
        access.retries = False
        found: Any = CoreV1Api(ApiClient(access)).read_namespaced_persistent_volume_claim(
            claim, namespace, _request_timeout=TIMEOUT_SECONDS
        )
    except ApiException as error:
        return bool(error.status != 404)
    except (SpecError, HTTPError, OSError):
        return True
    return bool(found.status.phase == "Bound")


def no_metrics(cluster: ClusterSpec) -> str | None:
    """Return a line that says so when the cluster has no metrics to choose a number of pods by."""
    groups = _groups(cluster)
    if groups is None or METRICS in groups:
        return None
    return (
        f"kubernetes.autoscale: the cluster of {cluster.context!r} has no {METRICS}, so there will "
        "be as many replicas as `replicas` says; install metrics-server"
    )


def _groups(cluster: ClusterSpec) -> set[str] | None:
    """Return the groups of the cluster's APIs; None where it does not say."""
    access = configuration(cluster.context)
    access.retries = False
    try:
        found: Any = ApisApi(ApiClient(access)).get_api_versions(_request_timeout=TIMEOUT_SECONDS)
    except (ApiException, HTTPError, OSError):
        return None  # What was asked before it said so better.
    return {group.name for group in found.groups}


def check_port(stack: str, bind: IPv4Address, port: int) -> None:
    """Raise `SpecError` naming who holds `port`, unless it is free or the stack's own."""
    if port in forward.held(stack).values():
        return
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(bind), port))
        except OSError as error:
            raise SpecError(port_problem(error, bind, port, "port")) from None
