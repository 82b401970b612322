"""The wiring of the components into a deployment on Kubernetes."""

import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import replace

import pulumi
from pulumi_kubernetes import Provider
from pulumi_kubernetes.core.v1 import Namespace, ServiceAccount
from pulumi_kubernetes.meta.v1 import ObjectMetaArgs

from infra.checks.certificate import check_certificate
from infra.checks.data import check_data
from infra.checks.external import check_external
from infra.checks.hosts import wrong_answers
from infra.components.names import (
    LOAD,
    LOAD_BALANCER,
    MLFLOW,
    OBJECT_STORE,
    POSTGRES,
    SCHEMA_JOB,
    TRACE_JOBS,
)
from infra.components.nginx import STATUS_PORT
from infra.components.object_store import PORT as OBJECT_STORE_PORT
from infra.components.postgres import PORT as POSTGRES_PORT
from infra.components.server import PORT as SERVER_PORT
from infra.components.server import TrackingServer
from infra.components.users import ADMINISTRATOR
from infra.encryption_keys import encryption_keys
from infra.image.context import BuildContext
from infra.image.engine import connect
from infra.image.resource import Image
from infra.image.source import Published, Source, check_published, image_sources
from infra.kubernetes import preflight
from infra.kubernetes.forward import PortForward
from infra.kubernetes.identity import Identity
from infra.kubernetes.image import LoadedImage
from infra.kubernetes.load_balancer import PODS as LOAD_BALANCER_PODS
from infra.kubernetes.load_balancer import LoadBalancer, LoadBalancerArgs
from infra.kubernetes.mlflow import DRAIN_SECONDS, Mlflow, MlflowArgs
from infra.kubernetes.object_store import ObjectStore, ObjectStoreArgs
from infra.kubernetes.postgres import Postgres, PostgresArgs
from infra.kubernetes.schema_job import SchemaJob, SchemaJobArgs
from infra.kubernetes.schema_revision import SchemaRevision
from infra.kubernetes.target import (
    SERVICE,
    Workload,
    forwarded_ports,
    known_target,
    pod_host,
)
from infra.kubernetes.trace_jobs import TraceJobs, TraceJobsArgs
from infra.labels import LABEL_STACK
from infra.names import Names
from infra.outputs import AuditSecrets, Target
from infra.password import password
from infra.releases import contents
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.exposure import exposures
from infra.specification.external import ExternalS3
from infra.stores import (
    UsedArtifacts,
    UsedDatabase,
    audit_secrets,
    external_database,
    external_s3,
    own_bucket,
    own_database,
    tracking_server,
)
from infra.tls import inside_certificates, served_certificate
from infra.users import Secrets, user_secrets

SETTLE_SECONDS = DRAIN_SECONDS + 20
"""How long after an update a former replica may still answer, or nginx know of none."""


class Deployment(pulumi.ComponentResource):
    """A remote MLflow on Kubernetes."""

    target: pulumi.Output[Target]
    """What a workload has to know, as soon as every replica is ready."""

    secrets: pulumi.Output[AuditSecrets]
    """What checks need to read the stores; a secret."""

    admin_password: pulumi.Output[str] | None
    """Password of the administrator, a secret; None: the stack has no users."""

    def __init__(
        self,
        stack: str,
        spec: DeploymentSpec,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        cluster = spec.kubernetes
        assert cluster is not None
        unreachable_from_here = check_external(spec)
        preflight.check_cluster(stack, cluster)
        check_data(stack, spec)
        preflight.check_images(spec, cluster)
        preflight.check_monitoring(cluster)
        preflight.check_port(stack, spec.bind, spec.port)
        sources = image_sources(spec, built_here=preflight.takes_images(cluster.context))
        warnings = [
            *check_certificate(
                spec, pod_host(cluster.namespace_of(stack)) if spec.loads_inside else None
            ),
            *exposures(spec),
            _check_published(spec, sources.values()),
            preflight.no_metrics(cluster) if cluster.autoscale else None,
            _check_schema(spec),
        ]
        super().__init__("mlflow-bench:kubernetes:Deployment", stack, None, opts)
        for line in unreachable_from_here:
            pulumi.log.info(line, self)
        for warning in filter(None, warnings):
            pulumi.log.warn(warning, self)
        self._child = pulumi.ResourceOptions(parent=self)
        self._stack = stack
        self._spec = spec
        self._cluster = cluster
        self._namespace = cluster.namespace_of(stack)
        self._workloads: dict[str, Workload] = {}
        self._identity = self._make_identity()
        self._digests: dict[str, pulumi.Output[str]] = {}
        self._loaded: dict[str, LoadedImage] = {}
        self._images = {name: self._image(name, source) for name, source in sources.items()}
        self._inside = inside_certificates(stack, spec, self)
        database = self._database()
        artifacts = self._artifacts()
        keys = encryption_keys(self._identity, self)
        secrets = {**database.secrets, **artifacts.secrets, **keys}
        users = user_secrets(spec, self._identity, self)
        hosts_inside = (SERVICE, f"{SERVICE}.{self._namespace}", pod_host(self._namespace))
        self._certificate = served_certificate(stack, spec, self, hosts_inside)
        server = tracking_server(
            spec,
            database,
            artifacts,
            more_hosts=hosts_inside,
            metrics=cluster.monitoring is not None,
        )
        annotations = SchemaRevision(
            self._identity.logical("schema"),
            "" if spec.mlflow_image else contents.schema(spec.mlflow, users=spec.auth.has_users),
            # Nobody waits for an image while the servers are stopped.
            pulumi.ResourceOptions.merge(
                self._child,
                pulumi.ResourceOptions(
                    depends_on=[each for name, each in self._loaded.items() if name == MLFLOW]
                ),
            ),
        ).annotations
        schema = SchemaJob(
            SCHEMA_JOB,
            SchemaJobArgs(
                identity=self._identity,
                image=self._images[MLFLOW],
                annotations=annotations,
                server=server,
                secrets={**secrets, **users.of_schema_job},
                after=[database.ready, artifacts.ready],
            ),
            self._child,
        )
        of_servers = {**users.of_servers, **(self._inside.replicas.files if self._inside else {})}
        self._load_balancer(
            self._replicas(server, schema, annotations, secrets, of_servers, users.metrics_token)
        )
        self.secrets = audit_secrets(database, artifacts)
        self.admin_password = users.admin_password
        # The target holds no password, though a check of it needs one.
        known = pulumi.Output.unsecret(
            pulumi.Output.all(self._target(database, artifacts), users.admin_password)
        )
        self.target = known.apply(lambda each: self._check_answers(*each))
        self.register_outputs({"tracking_uri": spec.tracking_uri})

    def _make_identity(self) -> Identity:
        """Declare the namespace and what all pods have in common."""
        cluster = self._cluster
        names = Names(self._stack)
        provider = Provider(
            names.logical("cluster"),
            context=cluster.context,
            namespace=self._namespace,
            # Empty, not the default, which is the text of KUBECONFIG and would be in the state: the
            # plugin itself reads the files that KUBECONFIG lists whenever it starts.
            kubeconfig="",
            # Without a kubeconfig to compare, this is what shows that the cluster is another one.
            cluster_identifier=cluster.context,
            # Otherwise a change replaces the object, and before that all pods that mount it.
            enable_config_map_mutable=True,
            enable_secret_mutable=True,
            opts=self._child,
        )
        salt = password(names.logical("secrets-salt"), self)
        identity = Identity(
            self._stack,
            cluster.context,
            self._declare_namespace(provider),
            provider,
            salt=salt,
            image_pull_secrets=cluster.image_pull_secrets,
        )
        if cluster.service_account is None:
            return identity
        account = ServiceAccount(
            identity.logical("service-account"),
            metadata=identity.metadata(
                cluster.service_account,
                MLFLOW,
                annotations=cluster.service_account_annotations or None,
            ),
            automount_service_account_token=False,
            opts=identity.options(self),
        )
        return replace(identity, service_account=account.metadata.name)

    def _declare_namespace(self, provider: Provider) -> pulumi.Output[str]:
        """Declare the namespace; its removal removes all that is in it, in the state or not."""
        level = "pod-security.kubernetes.io"
        labels = {
            LABEL_STACK: self._stack,
            "app.kubernetes.io/part-of": "mlflow-bench",
            f"{level}/enforce": "restricted",
            f"{level}/warn": "restricted",
        }
        namespace = Namespace(
            Names(self._stack).logical("namespace"),
            metadata=ObjectMetaArgs(name=self._namespace, labels=labels),
            opts=pulumi.ResourceOptions(parent=self, provider=provider),
        )
        name: pulumi.Output[str] = namespace.metadata.name
        return name

    def _image(self, name: str, source: Source) -> pulumi.Output[str]:
        """Declare an image; return the name by which a pod refers to it."""
        if not isinstance(source, BuildContext):
            reference = source.reference if isinstance(source, Published) else source
            self._digests[name] = pulumi.Output.from_input(reference)
            return self._digests[name]
        logical_name = self._identity.logical(name)
        digest = Image(logical_name, source, self._child).digest
        self._digests[name] = digest
        context = self._cluster.context
        loaded = LoadedImage(logical_name, context, source.tag, digest, self._child)
        self._loaded[name] = loaded
        return loaded.name

    def _database(self) -> UsedDatabase:
        spec = self._spec
        if spec.database is not None:
            return external_database(spec.database)
        certificate = self._inside.database if self._inside else None
        postgres = Postgres(
            POSTGRES,
            PostgresArgs(
                identity=self._identity,
                image=self._images[POSTGRES],
                cluster=self._cluster,
                max_connections=spec.capacity.max_connections,
                memory=spec.postgres_memory,
                certificate=certificate,
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._workloads[POSTGRES] = Workload(
            "postgres", postgres.container, POSTGRES, POSTGRES_PORT
        )
        return own_database(
            postgres.database,
            postgres.password,
            postgres.container,
            POSTGRES,
            POSTGRES_PORT,
            certificate,
        )

    def _artifacts(self) -> UsedArtifacts:
        spec = self._spec
        if isinstance(spec.artifacts, ExternalS3):
            return external_s3(spec.artifacts, presigned=False)
        store = ObjectStore(
            OBJECT_STORE,
            ObjectStoreArgs(
                identity=self._identity,
                image=self._images[OBJECT_STORE],
                cluster=self._cluster,
                engine=spec.s3_engine,
                memory=spec.object_store_memory,
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._workloads[OBJECT_STORE] = Workload(
            spec.s3_engine, store.container, OBJECT_STORE, OBJECT_STORE_PORT
        )
        endpoint = f"http://{OBJECT_STORE}:{OBJECT_STORE_PORT}"
        return own_bucket(store.bucket, store.credentials, store.container, endpoint)

    def _replicas(
        self,
        server: TrackingServer,
        schema: SchemaJob,
        annotations: Mapping[str, pulumi.Input[str]],
        secrets: Secrets,
        more_of_servers: Secrets,
        metrics_token: pulumi.Output[str] | None,
    ) -> pulumi.Output[str]:
        """Declare the replicas; return the name of their Service."""
        spec = self._spec
        mlflow = Mlflow(
            MLFLOW,
            MlflowArgs(
                identity=self._identity,
                image=schema.image,
                schema=schema,
                annotations=annotations,
                cluster=self._cluster,
                replicas=spec.replicas,
                max_replicas=spec.most_replicas,
                load_balancer=self._identity.pod_labels(LOAD_BALANCER),
                server=server,
                secrets={**secrets, **more_of_servers},
                metrics_token=metrics_token,
                replicas_ca=self._inside.replicas.ca if self._inside else None,
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
            pods=spec.replicas,
            max_pods=spec.most_replicas,
        )
        if spec.traces.have_jobs:
            TraceJobs(
                TRACE_JOBS,
                TraceJobsArgs(
                    identity=self._identity,
                    image=schema.image,
                    annotations=annotations,
                    replicas=[mlflow],
                    server=server,
                    secrets=secrets,
                    memory=spec.trace_jobs_memory,
                    start_timeout=spec.start_timeout,
                ),
                self._child,
            )
        return mlflow.service

    def _load_balancer(self, tracking_service: pulumi.Output[str]) -> None:
        balancer = LoadBalancer(
            LOAD_BALANCER,
            LoadBalancerArgs(
                identity=self._identity,
                image=self._images[LOAD_BALANCER],
                service=SERVICE,
                port=SERVER_PORT,
                tracking_service=tracking_service,
                tracking_port=SERVER_PORT,
                cluster=self._cluster,
                certificate=self._certificate,
                replicas_ca=self._inside.replicas.ca if self._inside else None,
                start_timeout=self._spec.start_timeout,
            ),
            self._child,
        )
        self._workloads[LOAD_BALANCER] = Workload(
            "nginx",
            balancer.container,
            SERVICE,
            STATUS_PORT,
            pods=LOAD_BALANCER_PODS,
            max_pods=LOAD_BALANCER_PODS,
        )

    def _target(self, database: UsedDatabase, artifacts: UsedArtifacts) -> pulumi.Output[Target]:
        """Open the ports of this machine; return how everything is reached."""
        containers = {name: workload.container for name, workload in self._workloads.items()}
        ready = pulumi.Output.all(*containers.values())
        forward = PortForward(
            self._identity.logical("port-forward"),
            self._stack,
            ready.apply(lambda _: self._cluster.context),
            self._namespace,
            forwarded_ports(self._spec, self._workloads),
            self._child,
        )
        return pulumi.Output.all(
            ports=forward.ports,
            backend_store=database.audit,
            artifact_store=artifacts.audit,
            containers=pulumi.Output.all(**containers),
            digests=pulumi.Output.all(**self._digests),
            load_image=self._images.get(LOAD),
            ca_file=self._certificate.ca_file if self._certificate else None,
            inside_ca_file=self._inside.ca_file if self._inside else None,
        ).apply(lambda values: known_target(self._stack, self._spec, self._workloads, **values))

    def _check_answers(self, target: Target, admin_password: str | None) -> Target:
        """Return `target`; fail with `RunError` if the server refuses a host name or takes any."""
        user = (ADMINISTRATOR, admin_password) if admin_password else None
        deadline = time.monotonic() + SETTLE_SECONDS
        while not pulumi.runtime.is_dry_run():
            wrong = wrong_answers(target.tracking_uri, self._spec.hosts, user, target.ca_file)
            if not wrong:
                break
            if time.monotonic() > deadline:
                raise pulumi.RunError("\n".join(wrong))
            time.sleep(1)
        return target


def _check_schema(spec: DeploymentSpec) -> str | None:
    """Return a warning where a release does not say which schema it needs."""
    release = spec.mlflow
    if spec.mlflow_image or not isinstance(release, str) or contents.schema(release):
        return None
    return (
        f"mlflow {release}: its lock does not say which schema it has, so no servers are stopped "
        f"before that changes: write the lock anew (scripts/lock --mlflow {release})"
    )


def _check_published(spec: DeploymentSpec, sources: Iterable[Source]) -> str | None:
    """Raise `SpecError` for images that the registry lacks.

    This machine's Docker asks it; a cluster elsewhere needs none, so that its absence is only a
    warning, which is returned.
    """
    published = [source for source in sources if isinstance(source, Published)]
    if not published:
        return None
    try:
        client = connect()
    except SpecError:
        return (
            "image_registry: was not asked whether it has the images: no Docker answers here; a "
            "pod that lacks one says so"
        )
    with closing(client):
        check_published(client, spec, published)
    return None
