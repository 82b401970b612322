"""How the components are wired into a deployment on Docker."""

from contextlib import closing
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import Any

import pulumi

from infra import releases
from infra.checks.hosts import wrong_answers
from infra.components import nginx, postgres
from infra.components.names import (
    LOAD_BALANCER,
    MLFLOW,
    NFS,
    OBJECT_STORE,
    POSTGRES,
    SCHEMA_JOB,
    TRACE_JOBS,
)
from infra.components.server import PORT as SERVER_PORT
from infra.components.server import TrackingServer
from infra.components.users import ADMINISTRATOR
from infra.docker.artifact_mount import ArtifactMount
from infra.docker.guard import Guard
from infra.docker.health import wait_until_healthy
from infra.docker.identity import Identity
from infra.docker.load_balancer import LoadBalancer, LoadBalancerArgs
from infra.docker.mlflow import MlflowReplica, MlflowReplicaArgs
from infra.docker.nfs import NfsServer, NfsServerArgs
from infra.docker.object_store import ObjectStore, ObjectStoreArgs
from infra.docker.plan import Plan, plan
from infra.docker.ports import LOOPBACK, presigned_endpoint, replica_name
from infra.docker.postgres import Postgres, PostgresArgs
from infra.docker.schema_job import SchemaJob, SchemaJobArgs
from infra.docker.stores import MountedArtifacts, external_nfs, own_nfs, own_volume
from infra.docker.trace_jobs import TraceJobs, TraceJobsArgs
from infra.docker.zone import Zone, zone_names
from infra.encryption_keys import encryption_keys
from infra.image.engine import connect
from infra.image.resource import Image
from infra.names import Names
from infra.outputs import (
    AuditSecrets,
    Component,
    Platform,
    Target,
    ZoneNetwork,
)
from infra.specification.deployment import DeploymentSpec
from infra.specification.external import ExternalNfs, ExternalS3, StoreKind
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
from infra.users import Secrets, UserSecrets, user_secrets


@dataclass(frozen=True)
class _Running:
    """A container, for the stack's outputs."""

    kind: str
    name: pulumi.Output[str]
    """Of the container, known once it is ready."""
    image: str
    """Component whose image it runs."""
    zone: str | None = None
    """None: every zone."""
    address: IPv4Address | None = None


class Deployment(pulumi.ComponentResource):
    """A remote MLflow on Docker."""

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
        """Deploy `spec` under the name `stack`; raise `SpecError` before anything is created."""
        self._plan: Plan = plan(stack, spec)
        super().__init__("mlflow-bench:docker:Deployment", stack, None, opts)
        self._child = pulumi.ResourceOptions(parent=self)
        self._spec = spec
        self._containers: dict[str, _Running] = {}
        for warning in self._plan.warnings:
            pulumi.log.warn(warning, self)
        guard = Guard(Names(stack).logical("guard"), self._child)
        self._identity = Identity(stack, guard.deployment)
        self._zones = self._declare_zones()
        self._images = {
            name: Image(self._identity.logical(name), source, self._child).digest
            for name, source in self._plan.sources.items()
        }
        self._inside = inside_certificates(stack, spec, self)
        database = self._database()
        artifacts = self._artifacts()
        self._certificate = served_certificate(stack, spec, self)
        users = user_secrets(spec, self._identity, self)
        self._servers(database, artifacts, users)
        self.secrets = audit_secrets(database, artifacts)
        self.admin_password = users.admin_password
        described = self._describe(database, artifacts)
        # The target holds no password, though a check of it needs one.
        known = pulumi.Output.unsecret(pulumi.Output.all(described, users.admin_password))
        self.target = known.apply(lambda each: self._checked(*each))
        self.register_outputs({"tracking_uri": spec.tracking_uri})

    def _declare_zones(self) -> list[Zone]:
        zones: list[Zone] = []
        names = zone_names(self._spec.zones)
        for name, subnet in zip(names, self._plan.subnets, strict=True):
            former = zones[-1] if zones else None
            zones.append(Zone(name, self._identity, subnet, former, self._child))
        return zones

    def _database(self) -> UsedDatabase:
        spec, settings, ports = self._spec, self._plan.postgres_memory, self._plan.ports
        if spec.database is not None:
            return external_database(spec.database)
        assert settings is not None
        certificate = self._inside.database if self._inside else None
        server = Postgres(
            POSTGRES,
            PostgresArgs(
                identity=self._identity,
                image=self._images[POSTGRES],
                zones=self._zones,
                max_connections=spec.capacity.max_connections,
                audit=ports.open_to_checks(POSTGRES, postgres.PORT),
                memory=spec.postgres_memory,
                settings=settings,
                certificate=certificate,
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._containers[POSTGRES] = _Running("postgres", server.container, POSTGRES)
        return own_database(
            server.database,
            server.password,
            server.container,
            LOOPBACK,
            ports.audit[POSTGRES],
            certificate,
        )

    def _artifacts(self) -> UsedArtifacts:
        artifacts, mounting = self._spec.artifacts, self._plan.mounting
        if isinstance(artifacts, ExternalS3):
            return external_s3(artifacts, self._spec.presigned)
        if isinstance(artifacts, ExternalNfs):
            assert mounting is not None
            pulumi.log.info(mounting.reason, self)
            return external_nfs(artifacts, mounting, self._identity, self)
        if artifacts is StoreKind.NFS:
            assert mounting is not None
            pulumi.log.info(mounting.reason, self)
            return own_nfs(self._nfs_server(), mounting, self._identity)
        if artifacts is StoreKind.VOLUME:
            return own_volume(self._identity, self)
        return self._object_store()

    def _nfs_server(self) -> NfsServer:
        server = NfsServer(
            NFS,
            NfsServerArgs(
                identity=self._identity,
                image=self._images[NFS],
                zones=self._zones,
                memory=self._spec.nfs_memory,
                start_timeout=self._spec.start_timeout,
            ),
            self._child,
        )
        self._containers[NFS] = _Running("nfs", server.container, NFS)
        return server

    def _object_store(self) -> UsedArtifacts:
        spec, ports = self._spec, self._plan.ports
        store = ObjectStore(
            OBJECT_STORE,
            ObjectStoreArgs(
                identity=self._identity,
                image=self._images[OBJECT_STORE],
                engine=spec.s3_engine,
                zones=self._zones,
                ports=ports.of_object_store(),
                presigned_endpoint=presigned_endpoint(spec),
                memory=spec.object_store_memory,
                start_timeout=spec.start_timeout,
            ),
            self._child,
        )
        self._containers[OBJECT_STORE] = _Running(spec.s3_engine, store.container, OBJECT_STORE)
        endpoint = f"http://{ports.address(OBJECT_STORE)}"
        return own_bucket(store.bucket, store.credentials, store.container, endpoint)

    def _servers(
        self, database: UsedDatabase, artifacts: UsedArtifacts, users: UserSecrets
    ) -> None:
        """Declare the schema job, and after it the replicas."""
        server = tracking_server(self._spec, database, artifacts)
        keys = encryption_keys(self._identity, self)
        secrets = {**database.secrets, **artifacts.secrets, **keys}
        mount = artifacts.mount if isinstance(artifacts, MountedArtifacts) else None
        schema = SchemaJob(
            SCHEMA_JOB,
            SchemaJobArgs(
                identity=self._identity,
                image=self._images[MLFLOW],
                zone=self._zones[0],
                server=server,
                secrets={**secrets, **users.of_schema_job},
                mount=mount,
                after=[database.ready, artifacts.ready],
                retry_of=self._plan.failed_attempt,
            ),
            self._child,
        )
        of_servers = {**users.of_servers, **(self._inside.replicas.files if self._inside else {})}
        self._replicas(server, schema.image, secrets, of_servers, mount)

    def _replicas(
        self,
        server: TrackingServer,
        image: pulumi.Output[str],
        secrets: Secrets,
        more_of_servers: Secrets,
        mount: ArtifactMount | None,
    ) -> None:
        """Declare the replicas of every zone and, for more than one in all, the load balancer."""
        spec, ports = self._spec, self._plan.ports
        containers: list[pulumi.Output[str]] = []
        addresses: list[nginx.Replica] = []
        for zone in self._zones:
            for number in range(1, spec.replicas + 1):
                name, address = replica_name(zone.zone, number), zone.address(number)
                replica = MlflowReplica(
                    name,
                    MlflowReplicaArgs(
                        identity=self._identity,
                        image=image,
                        zone=zone,
                        address=address,
                        server=replace(server, jobs=spec.jobs and not containers),
                        secrets={**secrets, **more_of_servers},
                        mount=mount,
                        published=ports.open_to_checks(name, SERVER_PORT)
                        if spec.balanced
                        else ports.open_to_clients(SERVER_PORT, spec.port),
                        memory=spec.mlflow_memory,
                        start_timeout=spec.start_timeout,
                    ),
                    self._child,
                )
                containers.append(replica.container)
                addresses.append(nginx.Replica(address, SERVER_PORT, name))
                self._containers[name] = _Running(
                    "mlflow", replica.container, MLFLOW, zone.zone, address
                )
        if spec.traces.have_jobs:
            jobs = TraceJobs(
                TRACE_JOBS,
                TraceJobsArgs(
                    identity=self._identity,
                    image=image,
                    zone=self._zones[0],
                    server=server,
                    secrets=secrets,
                    mount=mount,
                    after=list(containers),
                    memory=spec.trace_jobs_memory,
                    start_timeout=spec.start_timeout,
                ),
                self._child,
            )
            self._containers[TRACE_JOBS] = _Running(
                TRACE_JOBS, jobs.container, MLFLOW, self._zones[0].zone
            )
        if spec.balanced:
            balancer = LoadBalancer(
                LOAD_BALANCER,
                LoadBalancerArgs(
                    identity=self._identity,
                    image=self._images[LOAD_BALANCER],
                    zones=self._zones,
                    replicas=tuple(addresses),
                    replica_containers=containers,
                    published=ports.open_to_clients(nginx.PORT, spec.port),
                    audit=ports.open_to_checks(LOAD_BALANCER, nginx.STATUS_PORT),
                    certificate=self._certificate,
                    replicas_ca=self._inside.replicas.ca if self._inside else None,
                    start_timeout=spec.start_timeout,
                ),
                self._child,
            )
            self._containers[LOAD_BALANCER] = _Running("nginx", balancer.container, LOAD_BALANCER)

    def _describe(self, database: UsedDatabase, artifacts: UsedArtifacts) -> pulumi.Output[Target]:
        """Return the target, known when every container is ready."""
        spec = self._spec

        def describe(known: list[Any]) -> Target:
            containers: list[str]
            networks: list[str]
            images: dict[str, str]
            ca_file: str | None
            inside: str | None
            containers, networks, artifact_store, images, ca_file, inside = known
            of_database = inside if self._spec.database is None else None
            return Target(
                stack=self._identity.stack,
                platform=Platform.DOCKER,
                tracking_uri=spec.tracking_uri,
                username=ADMINISTRATOR if spec.users else None,
                workspaces=spec.workspaces,
                ca_file=ca_file,
                mlflow_version=releases.version_of(spec.mlflow),
                artifacts=spec.artifact_store,
                replicas=spec.all_replicas,
                workers=spec.workers,
                components=tuple(
                    Component(
                        name=name,
                        kind=running.kind,
                        container=container,
                        image=images[running.image],
                        zone=running.zone,
                        address=str(running.address) if running.address else None,
                        audit=self._plan.ports.address(name),
                        ca_file=inside if running.kind == "mlflow" else None,
                    )
                    for (name, running), container in zip(
                        self._containers.items(), containers, strict=True
                    )
                ),
                zones=tuple(
                    ZoneNetwork(name=zone.zone, network=network)
                    for zone, network in zip(self._zones, networks, strict=True)
                ),
                backend_store=database.audit.model_copy(update={"ca_file": of_database}),
                artifact_store=artifact_store,
            )

        return pulumi.Output.all(
            pulumi.Output.all(*(running.name for running in self._containers.values())),
            pulumi.Output.all(*(zone.network for zone in self._zones)),
            artifacts.audit,
            pulumi.Output.all(**self._images),
            self._certificate.ca_file if self._certificate else None,
            self._inside.ca_file if self._inside else None,
        ).apply(describe)

    def _checked(self, target: Target, admin_password: str | None) -> Target:
        """Return `target` if all containers are healthy and the server takes its names only.

        Raises `RunError` otherwise.
        """
        if pulumi.runtime.is_dry_run():
            return target
        with closing(connect()) as client:
            containers = [component.container for component in target.components]
            wrong = wait_until_healthy(client, containers, self._spec.start_timeout)
        if not wrong:
            user = (ADMINISTRATOR, admin_password) if admin_password else None
            wrong = wrong_answers(target.tracking_uri, self._spec.hosts, user, target.ca_file)
        if wrong:
            raise pulumi.RunError("\n".join(wrong))
        return target
