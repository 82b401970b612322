"""How the components are wired into a deployment on Kubernetes."""

from importlib.metadata import version
from typing import Any

import pulumi
import pulumi_kubernetes as kubernetes
from pulumi_kubernetes.core.v1 import Namespace

from infra.docker.identity import LABEL_STACK
from infra.docker.image import Image, image_source
from infra.docker.object_store import CREDENTIALS_FILE
from infra.docker.object_store import PORT as OBJECT_STORE_PORT
from infra.docker.postgres import PASSWORD_FILE
from infra.docker.postgres import PORT as POSTGRES_PORT
from infra.docker.stores import UsedArtifacts, UsedDatabase, external_database, external_s3
from infra.external import ExternalS3
from infra.host_check import wrong_answers
from infra.kubernetes import preflight
from infra.kubernetes.forward import LOOPBACK, PortForward
from infra.kubernetes.identity import Identity
from infra.kubernetes.image import LoadedImage
from infra.kubernetes.mlflow import Mlflow, MlflowArgs
from infra.kubernetes.object_store import ObjectStore, ObjectStoreArgs
from infra.kubernetes.postgres import Postgres, PostgresArgs
from infra.kubernetes.schema_job import SchemaJob, SchemaJobArgs
from infra.outputs import ArtifactStore, AuditSecrets, BackendStore, Component, Platform, Target
from infra.postgres import least_memory, memory_settings
from infra.preflight import check_external
from infra.server import TrackingServer
from infra.spec import DeploymentSpec

SERVER_PORT = 5000
"""Port of the tracking server inside its pods, and of its Service."""

POSTGRES = "postgres"
OBJECT_STORE = "object-store"
SCHEMA_JOB = "schema-job"
MLFLOW = "mlflow"

POSTGRES_MEMORY = 2**30
"""Bytes that PostgreSQL plans with where it has no limit; a node's memory is shared with others."""


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
        check_external(spec)
        preflight.check_cluster(stack, cluster)
        preflight.check_images(spec, cluster)
        preflight.check_port(stack, spec.bind, spec.port)
        sources: dict[str, Any] = {MLFLOW: _source("mlflow", spec.mlflow_image, spec)}
        if spec.database is None:
            sources[POSTGRES] = _source("postgres", spec.postgres_image, spec)
        if spec.uses_own_s3:
            sources[OBJECT_STORE] = _source(spec.s3_engine, spec.object_store_image, spec)
        super().__init__("mlflow-bench:kubernetes:Deployment", stack, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._stack = stack
        self._spec = spec
        self._cluster = cluster
        self._name = cluster.namespace_of(stack)
        self._workloads: dict[str, tuple[str, pulumi.Output[str]]] = {}
        provider = kubernetes.Provider(
            "cluster",
            context=cluster.context,
            namespace=self._name,
            opts=self._child,
        )
        self._identity = Identity(stack, self._namespace(provider), provider)
        self._digests: dict[str, pulumi.Output[str]] = {}
        self._images = {name: self._image(name, source) for name, source in sources.items()}
        database = self._database()
        artifacts = self._artifacts()
        names = (MLFLOW, f"{MLFLOW}.{self._name}", f"{MLFLOW}.{self._name}.svc")
        server = TrackingServer(
            database=database.address,
            artifacts=artifacts.destination,
            capacity=spec.capacity,
            port=SERVER_PORT,
            workers=spec.workers,
            allowed_hosts=(*_hosts(spec), *names),
            jobs=spec.jobs,
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
                replicas=spec.replicas,
                server=server,
                secrets=secrets,
                request_memory=spec.server_memory,
                memory=spec.mlflow_memory,
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._workloads[MLFLOW] = ("mlflow", mlflow.container)
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

    def _image(self, name: str, source: Any) -> pulumi.Output[str]:
        """Declare an image; return what a pod names it by."""
        if isinstance(source, str):
            self._digests[name] = pulumi.Output.from_input(source)
            return self._digests[name]
        digest = Image(name, source, self._spec.base_image, self._child).digest
        self._digests[name] = digest
        return LoadedImage(name, source.tag, digest, self._child).name

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
        self._workloads[POSTGRES] = ("postgres", postgres.container)
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
        self._workloads[OBJECT_STORE] = (spec.s3_engine, store.container)
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
        ready = [container for _, container in self._workloads.values()]
        forward = PortForward(
            "port-forward",
            {
                "stack": self._stack,
                "context": pulumi.Output.all(*ready).apply(lambda _: self._cluster.context),
                "namespace": self._name,
                "bind": str(spec.bind),
                "port": spec.port,
                "main": MLFLOW,
                "others": [name for name in self._workloads if name != MLFLOW],
            },
            self._child,
        )

        def describe(known: list[Any]) -> Target:
            ports, store, containers, digests = known
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
                        name=name,
                        kind=kind,
                        container=containers[name],
                        image=digests[name],
                        audit=f"{LOOPBACK}:{int(ports[name])}",
                    )
                    for name, (kind, _) in self._workloads.items()
                ),
                zones=(),
                backend_store=backend,
                artifact_store=store,
            )

        workloads = {name: container for name, (_, container) in self._workloads.items()}
        return pulumi.Output.all(
            forward.ports, artifacts.audit, pulumi.Output.all(**workloads), self._known_digests()
        ).apply(describe)

    def _known_digests(self) -> pulumi.Output[dict[str, str]]:
        return pulumi.Output.all(**self._digests).apply(dict)

    def _answering(self, target: Target) -> Target:
        """Return `target`, or raise `RunError` when the server refuses a name or takes any."""
        address = target.tracking_uri.removeprefix("http://")
        dry = pulumi.runtime.is_dry_run()
        wrong = [] if dry else wrong_answers(address, _hosts(self._spec))
        if wrong:
            raise pulumi.RunError("\n".join(wrong))
        return target


def _source(name: str, given: str | None, spec: DeploymentSpec) -> Any:
    return given or image_source(name, None, spec.mlflow if name == "mlflow" else None)


def _hosts(spec: DeploymentSpec) -> tuple[str, ...]:
    return ("localhost", "127.0.0.1", *spec.allowed_hosts)
