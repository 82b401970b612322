"""How a workload reaches a deployment and each of its pods, through ports of this machine."""

from collections.abc import Mapping
from dataclasses import dataclass

import pulumi

from infra import releases
from infra.components.names import OBJECT_STORE, POSTGRES
from infra.components.nginx import PORT as LOAD_BALANCER_PORT
from infra.components.server import PORT as SERVER_PORT
from infra.components.users import ADMINISTRATOR
from infra.kubernetes.forward import LOOPBACK, forwarded_port
from infra.kubernetes.forward_process import ForwardedPort
from infra.outputs import ArtifactStore, BackendStore, Cluster, Component, Platform, Target
from infra.specification.deployment import DeploymentSpec

SERVICE = "mlflow"
"""Name by which clients in the cluster reach the load balancer."""

MAIN = "main"
"""Name of the stack's own port of this machine."""


def pod_host(namespace: str) -> str:
    """Return the host by which a pod of any namespace reaches the load balancer."""
    return f"{SERVICE}.{namespace}.svc"


@dataclass(frozen=True)
class Workload:
    """What runs the pods of one kind, and how checks reach each of them."""

    kind: str
    container: pulumi.Output[str]
    """Its name, as `deployment/mlflow`, known once it is ready."""
    service: str
    """The Service that its pods belong to."""
    port: int
    """Of the pods."""
    pods: int | None = None
    """How many are components of the stack, `mlflow-1` and so on; None: the only one."""
    max_pods: int = 0
    """How many an autoscaler, or another number of replicas, may lead to."""

    def components(self, name: str) -> list[str]:
        """Return the names of its components."""
        return [name] if self.pods is None else [f"{name}-{n}" for n in range(1, self.pods + 1)]


def forwarded_ports(spec: DeploymentSpec, workloads: Mapping[str, Workload]) -> list[ForwardedPort]:
    """Return the stack's own port and one for each pod that may be: it stays when the pod goes."""
    address = str(spec.bind)
    ports = [forwarded_port(MAIN, SERVICE, LOAD_BALANCER_PORT, address=address, port=spec.port)]
    for name, workload in workloads.items():
        if workload.pods is None:
            ports.append(forwarded_port(name, workload.service, workload.port))
        ports += [
            forwarded_port(f"{name}-{number}", workload.service, workload.port, number=number)
            for number in range(1, workload.max_pods + 1)
        ]
    return ports


def known_target(
    stack: str,
    spec: DeploymentSpec,
    workloads: Mapping[str, Workload],
    *,
    ports: Mapping[str, float],
    backend_store: BackendStore,
    artifact_store: ArtifactStore,
    containers: Mapping[str, str],
    digests: Mapping[str, str],
    load_image: str | None,
    ca_file: str | None,
    inside_ca_file: str | None,
) -> Target:
    """Return the target of a deployment.

    `ports` are the forwarded ones by name; `containers` and `digests` are by workload; the stores
    are as the servers reach them. Numbers come from the engine as floats.
    """
    cluster = spec.kubernetes
    assert cluster is not None
    namespace = cluster.namespace_of(stack)
    scheme = "https" if spec.tls else "http"
    addresses = {name: f"{LOOPBACK}:{int(port)}" for name, port in ports.items()}
    if spec.database is None:
        local = {"host": LOOPBACK, "port": int(ports[POSTGRES]), "ca_file": inside_ca_file}
        backend_store = backend_store.model_copy(update=local)
    if OBJECT_STORE in ports:
        endpoint = f"http://{addresses[OBJECT_STORE]}"
        artifact_store = artifact_store.model_copy(update={"endpoint": endpoint})
    return Target(
        stack=stack,
        platform=Platform.KUBERNETES,
        tracking_uri=spec.tracking_uri,
        username=ADMINISTRATOR if spec.users else None,
        workspaces=spec.workspaces,
        ca_file=ca_file,
        mlflow_version=releases.version_of(spec.mlflow),
        artifacts=spec.artifact_store,
        replicas=spec.replicas,
        workers=spec.workers,
        components=tuple(
            Component(
                name=component,
                kind=workload.kind,
                container=containers[name],
                image=digests[name],
                audit=addresses[component],
                ca_file=inside_ca_file if workload.kind == "mlflow" else None,
            )
            for name, workload in workloads.items()
            for component in workload.components(name)
        ),
        zones=(),
        backend_store=backend_store,
        artifact_store=artifact_store,
        cluster=Cluster(
            context=cluster.context,
            namespace=namespace,
            tracking_uri=f"{scheme}://{pod_host(namespace)}:{SERVER_PORT}",
            load_image=load_image,
            image_pull_secrets=cluster.image_pull_secrets,
        ),
    )
