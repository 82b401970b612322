"""How the components are wired into a deployment on Kubernetes."""

import time
from collections.abc import Collection
from contextlib import closing
from dataclasses import dataclass, replace
from importlib.metadata import version
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
import pulumi_random as random
from pulumi_kubernetes.core.v1 import Namespace, ServiceAccount

from infra.build_context import BuildContext
from infra.data import check_data
from infra.docker import preflight as docker_preflight
from infra.docker.identity import LABEL_STACK
from infra.docker.image import Image, Published, Source, check_published, image_source
from infra.docker.object_store import CREDENTIALS_FILE
from infra.docker.object_store import PORT as OBJECT_STORE_PORT
from infra.docker.postgres import PASSWORD_FILE
from infra.docker.postgres import PORT as POSTGRES_PORT
from infra.docker.stores import UsedArtifacts, UsedDatabase, external_database, external_s3
from infra.external import ExternalS3
from infra.host_check import wrong_answers
from infra.kubernetes import preflight
from infra.kubernetes.forward import LOOPBACK, PortForward, wanted
from infra.kubernetes.identity import Identity
from infra.kubernetes.image import LoadedImage
from infra.kubernetes.load_balancer import PODS as LOAD_BALANCER_PODS
from infra.kubernetes.load_balancer import LoadBalancer, LoadBalancerArgs
from infra.kubernetes.mlflow import DRAIN_SECONDS, Autoscale, Mlflow, MlflowArgs
from infra.kubernetes.object_store import ObjectStore, ObjectStoreArgs
from infra.kubernetes.postgres import Postgres, PostgresArgs
from infra.kubernetes.schema_job import SchemaJob, SchemaJobArgs
from infra.nginx import PORT as LOAD_BALANCER_PORT
from infra.nginx import STATUS_PORT
from infra.outputs import (
    ArtifactStore,
    AuditSecrets,
    BackendStore,
    Cluster,
    Component,
    Platform,
    Target,
)
from infra.postgres import least_memory, memory_settings
from infra.preflight import check_external
from infra.server import TrackingServer
from infra.spec import DeploymentSpec, SpecError

SERVER_PORT = 5000
"""Port of the tracking server inside its pods, and of the Service that clients use."""

POSTGRES = "postgres"
OBJECT_STORE = "object-store"
SCHEMA_JOB = "schema-job"
MLFLOW = "mlflow"
LOAD_BALANCER = "nginx"
LOAD = "load"

SERVICE = "mlflow"
"""Name by which clients in the cluster reach the load balancer."""

MAIN = "main"
"""Name of the stack's own port of this machine."""

BUSY = 700
"""Thousandths of a core of a worker, as a mean, that the cluster adds replicas above: a Python
process has no more than one core, and its queue grows long before."""

POSTGRES_MEMORY = 2**30
"""Bytes that PostgreSQL plans with where it has no limit; a node's memory is shared with others."""


SETTLE_SECONDS = DRAIN_SECONDS + 20
"""How long after an update a replica of before may still answer, or nginx know of none."""


@dataclass(frozen=True)
class Workload:
    """What runs the pods of one kind, and where checks reach each of them.

    `container` is its name, known once it is ready; `service` has its pods, at `port`.
    """

    kind: str
    container: pulumi.Output[str]
    service: str
    port: int
    pods: int | None = None
    """How many are components of the stack, `mlflow-1` and so on; None: the only one."""
    most: int = 0
    """How many may come to be."""

    def names(self, name: str) -> list[str]:
        """Return the names of its components."""
        return [name] if self.pods is None else [f"{name}-{n}" for n in range(1, self.pods + 1)]


class Deployment(pulumi.ComponentResource):
    """A remote MLflow on Kubernetes."""

    target: pulumi.Output[Target]
    """What a workload has to know, as soon as every replica is ready."""

    secrets: pulumi.Output[AuditSecrets]
    """What checks need to read the stores; a secret."""

    def __init__(
        self,
        stack: str,
        spec: DeploymentSpec,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        cluster = spec.kubernetes
        assert cluster is not None
        unseen = check_external(spec)
        preflight.check_cluster(stack, cluster)
        check_data(stack, spec)
        preflight.check_images(spec, cluster)
        preflight.check_monitoring(cluster)
        preflight.check_port(stack, spec.bind, spec.port)
        sources: dict[str, Source] = {
            MLFLOW: _source("mlflow", spec.mlflow_image, spec),
            LOAD_BALANCER: _source("nginx", spec.nginx_image, spec),
        }
        if spec.database is None:
            sources[POSTGRES] = _source("postgres", spec.postgres_image, spec)
        if spec.uses_own_s3:
            sources[OBJECT_STORE] = _source(spec.s3_engine, spec.object_store_image, spec)
        if spec.loads_inside:
            sources[LOAD] = _source("workload", spec.load_image, spec)
        unchecked = _check_published(spec, sources.values())
        super().__init__("mlflow-bench:kubernetes:Deployment", stack, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._stack = stack
        self._spec = spec
        self._cluster = cluster
        self._name = cluster.namespace_of(stack)
        self._workloads: dict[str, Workload] = {}
        provider = kubernetes.Provider(
            "cluster",
            context=cluster.context,
            namespace=self._name,
            # Empty, and not the default, which is the text of KUBECONFIG: the plugin itself reads
            # all files that it lists, whenever it starts, and the state has nothing of them.
            kubeconfig="",
            # Without a kubeconfig to compare, this tells that all goes to another cluster.
            cluster_identifier=cluster.context,
            # Else a change of one replaces it, and with it, before, all pods that mount it.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=self._child,
        )
        for line in unseen:
            pulumi.log.info(line, self)
        if unchecked:
            pulumi.log.warn(unchecked, self)
        if cluster.autoscale and (said := preflight.no_metrics(cluster)):
            pulumi.log.warn(said, self)
        self._identity = self._make_identity(provider)
        self._digests: dict[str, pulumi.Output[str]] = {}
        self._images = {name: self._image(name, source) for name, source in sources.items()}
        database = self._database()
        artifacts = self._artifacts()
        names = (SERVICE, f"{SERVICE}.{self._name}", f"{SERVICE}.{self._name}.svc")
        server = TrackingServer(
            database=database.address,
            artifacts=artifacts.destination,
            capacity=spec.capacity,
            port=SERVER_PORT,
            workers=spec.workers,
            allowed_hosts=(*_hosts(spec), *names),
            jobs=spec.jobs,
            metrics=cluster.monitoring is not None,
        )
        secrets = {**database.secrets, **artifacts.secrets}
        schema = SchemaJob(
            SCHEMA_JOB,
            SchemaJobArgs(
                identity=self._identity,
                image=self._images[MLFLOW],
                server=server,
                secrets=secrets,
                after=[database.ready, artifacts.ready],
            ),
            self._child,
        )
        mlflow = Mlflow(
            MLFLOW,
            MlflowArgs(
                identity=self._identity,
                image=schema.image,
                schema=schema,
                replicas=spec.replicas,
                autoscale=Autoscale(spec.most_replicas, BUSY * spec.workers)
                if cluster.autoscale
                else None,
                monitoring=cluster.monitoring,
                load_balancer=self._identity.selector(LOAD_BALANCER),
                server=server,
                secrets=secrets,
                request_memory=spec.server_memory,
                memory=spec.mlflow_memory,
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._workloads[MLFLOW] = Workload(
            "mlflow",
            mlflow.container,
            f"{MLFLOW}-replicas",
            SERVER_PORT,
            spec.replicas,
            spec.most_replicas,
        )
        balancer = LoadBalancer(
            LOAD_BALANCER,
            LoadBalancerArgs(
                identity=self._identity,
                image=self._images[LOAD_BALANCER],
                service=SERVICE,
                port=SERVER_PORT,
                tracking_service=mlflow.service,
                tracking_port=SERVER_PORT,
                cluster=cluster,
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._workloads[LOAD_BALANCER] = Workload(
            "nginx",
            balancer.container,
            SERVICE,
            STATUS_PORT,
            LOAD_BALANCER_PODS,
            LOAD_BALANCER_PODS,
        )
        self.secrets = pulumi.Output.secret(
            pulumi.Output.all(
                secrets[PASSWORD_FILE], artifacts.secrets.get(CREDENTIALS_FILE)
            ).apply(lambda known: AuditSecrets(database_password=known[0], s3_credentials=known[1]))
        )
        self.target = self._described(database, artifacts).apply(self._answering)
        self.register_outputs({})

    def _namespace(self, provider: kubernetes.Provider) -> pulumi.Output[str]:
        """Declare the namespace: with it goes all that is in it, known to the state or not."""
        level = "pod-security.kubernetes.io"
        labels = {
            LABEL_STACK: self._stack,
            "app.kubernetes.io/part-of": "mlflow-bench",
            f"{level}/enforce": "restricted",
            f"{level}/warn": "restricted",
        }
        found: pulumi.Output[str] = Namespace(
            "namespace",
            metadata={"name": self._name, "labels": labels},
            opts=pulumi.ResourceOptions(parent=self, provider=provider),
        ).metadata.name
        return found

    def _make_identity(self, provider: kubernetes.Provider) -> Identity:
        """Declare the namespace, and what all pods have in common."""
        salt = random.RandomPassword("secrets-salt", length=32, special=False, opts=self._child)
        identity = Identity(
            self._stack,
            self._cluster.context,
            self._namespace(provider),
            provider,
            salt=salt.result,
            image_pull_secrets=self._cluster.image_pull_secrets,
        )
        account = self._cluster.service_account
        if account is None:
            return identity
        metadata = identity.metadata(account, MLFLOW)
        if annotations := self._cluster.service_account_annotations:
            metadata["annotations"] = annotations
        made = ServiceAccount(
            "service-account",
            metadata=metadata,
            automount_service_account_token=False,
            opts=identity.options(self),
        )
        return replace(identity, service_account=made.metadata.name)

    def _image(self, name: str, source: Source) -> pulumi.Output[str]:
        """Declare an image; return what a pod names it by."""
        if not isinstance(source, BuildContext):
            reference = source.reference if isinstance(source, Published) else source
            self._digests[name] = pulumi.Output.from_input(reference)
            return self._digests[name]
        digest = Image(name, source, self._child).digest
        self._digests[name] = digest
        context = self._cluster.context
        return LoadedImage(name, context, source.tag, digest, self._child).name

    def _database(self) -> UsedDatabase:
        spec = self._spec
        if spec.database is not None:
            return external_database(spec.database)
        connections = spec.capacity.max_connections
        planned = max(spec.postgres_memory or POSTGRES_MEMORY, least_memory(connections))
        postgres = Postgres(
            POSTGRES,
            PostgresArgs(
                identity=self._identity,
                image=self._images[POSTGRES],
                max_connections=connections,
                storage=self._cluster.storage,
                storage_class=self._cluster.storage_class,
                memory=spec.postgres_memory,
                planned=planned,
                settings=memory_settings(planned, connections),
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._workloads[POSTGRES] = Workload(
            "postgres", postgres.container, POSTGRES, POSTGRES_PORT
        )
        audit = BackendStore(
            host=POSTGRES,
            port=POSTGRES_PORT,
            database=postgres.database.name,
            user=postgres.database.user,
        )
        secrets = {PASSWORD_FILE: postgres.password}
        return UsedDatabase(postgres.database, secrets, postgres.container, audit)

    def _artifacts(self) -> UsedArtifacts:
        spec = self._spec
        if isinstance(spec.artifacts, ExternalS3):
            return external_s3(spec.artifacts, presigned=False)
        store = ObjectStore(
            OBJECT_STORE,
            ObjectStoreArgs(
                identity=self._identity,
                image=self._images[OBJECT_STORE],
                engine=spec.s3_engine,
                storage=self._cluster.storage,
                storage_class=self._cluster.storage_class,
                memory=spec.object_store_memory,
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._workloads[OBJECT_STORE] = Workload(
            spec.s3_engine, store.container, OBJECT_STORE, OBJECT_STORE_PORT
        )
        secrets = {CREDENTIALS_FILE: store.credentials}
        audit = ArtifactStore(
            uri=store.bucket.uri,
            endpoint=f"http://{OBJECT_STORE}:{OBJECT_STORE_PORT}",
            region=store.bucket.region,
        )
        return UsedArtifacts(
            store.bucket, secrets, None, store.container, pulumi.Output.from_input(audit)
        )

    def _described(self, database: UsedDatabase, artifacts: UsedArtifacts) -> pulumi.Output[Target]:
        """Open the ports of this machine, and return how everything is reached."""
        spec = self._spec
        ready = [workload.container for workload in self._workloads.values()]
        forward = PortForward(
            "port-forward",
            {
                "stack": self._stack,
                "context": pulumi.Output.all(*ready).apply(lambda _: self._cluster.context),
                "namespace": self._name,
                "wanted": self._wanted_ports(),
            },
            self._child,
        )

        def describe(known: list[Any]) -> Target:
            ports, store, containers, digests, load_image = known
            backend = database.audit
            if spec.database is None:
                backend = backend.model_copy(
                    update={"host": LOOPBACK, "port": int(ports[POSTGRES])}
                )
            if OBJECT_STORE in ports:
                address = f"http://{LOOPBACK}:{int(ports[OBJECT_STORE])}"
                store = store.model_copy(update={"endpoint": address})
            return Target(
                stack=self._stack,
                platform=Platform.KUBERNETES,
                tracking_uri=spec.tracking_uri,
                mlflow_version=version("mlflow"),
                artifacts=spec.artifact_store,
                replicas=spec.replicas,
                components=tuple(
                    Component(
                        name=component,
                        kind=workload.kind,
                        container=containers[name],
                        image=digests[name],
                        audit=f"{LOOPBACK}:{int(ports[component])}",
                    )
                    for name, workload in self._workloads.items()
                    for component in workload.names(name)
                ),
                zones=(),
                backend_store=backend,
                artifact_store=store,
                cluster=Cluster(
                    context=self._cluster.context,
                    namespace=self._name,
                    tracking_uri=f"http://{SERVICE}.{self._name}.svc:{SERVER_PORT}",
                    load_image=load_image,
                    image_pull_secrets=self._cluster.image_pull_secrets,
                ),
            )

        workloads = {name: workload.container for name, workload in self._workloads.items()}
        return pulumi.Output.all(
            forward.ports,
            artifacts.audit,
            pulumi.Output.all(**workloads),
            self._known_digests(),
            self._images.get(LOAD),
        ).apply(describe)

    def _wanted_ports(self) -> list[dict[str, Any]]:
        """Return the stack's own port, and one for each pod that may be: they stay when it goes."""
        spec = self._spec
        address = str(spec.bind)
        found = [wanted(MAIN, SERVICE, LOAD_BALANCER_PORT, address=address, port=spec.port)]
        for name, one in self._workloads.items():
            if one.pods is None:
                found.append(wanted(name, one.service, one.port))
            for number in range(1, one.most + 1):
                found.append(wanted(f"{name}-{number}", one.service, one.port, number=number))
        return found

    def _known_digests(self) -> pulumi.Output[dict[str, str]]:
        return pulumi.Output.all(**self._digests).apply(dict)

    def _answering(self, target: Target) -> Target:
        """Return `target`, or raise `RunError` when the server refuses a name or takes any."""
        address = target.tracking_uri.removeprefix("http://")
        end = time.monotonic() + SETTLE_SECONDS
        while not pulumi.runtime.is_dry_run():
            wrong = wrong_answers(address, _hosts(self._spec))
            if not wrong:
                break
            if time.monotonic() > end:
                raise pulumi.RunError("\n".join(wrong))
            time.sleep(1)
        return target


def _source(name: str, given: str | None, spec: DeploymentSpec) -> Source:
    assert spec.kubernetes is not None
    here = preflight.takes_images(spec.kubernetes.context)
    return image_source(name, given, spec, built_here=here)


def _check_published(spec: DeploymentSpec, sources: Collection[Source]) -> str | None:
    """Ask the registry by this machine's Docker, which a cluster elsewhere does not need.

    Returns a line that says so where there is none.
    """
    if not any(isinstance(source, Published) for source in sources):
        return None
    try:
        client = docker_preflight.connect()
    except SpecError:
        return (
            "image_registry: was not asked whether it has the images: no Docker answers here; a "
            "pod that lacks one says so"
        )
    with closing(client):
        check_published(client, spec, sources)
    return None


def _hosts(spec: DeploymentSpec) -> tuple[str, ...]:
    ingress = spec.kubernetes.ingress_host if spec.kubernetes else None
    names = ("localhost", "127.0.0.1", *spec.allowed_hosts)
    return (*names, ingress) if ingress and ingress not in names else names
