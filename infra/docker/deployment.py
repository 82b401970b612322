"""How the components are wired into a deployment on Docker."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version
from ipaddress import IPv4Address

import pulumi
import pulumi_docker as docker

from infra.data import check_data
from infra.docker import nfs_client, preflight
from infra.docker.artifact_mount import ArtifactMount
from infra.docker.audit_ports import LOOPBACK, audit_ports, published
from infra.docker.guard import Guard
from infra.docker.health import wait_until_healthy
from infra.docker.identity import Identity
from infra.docker.image import Image, Source, check_published, image_source
from infra.docker.load_balancer import LoadBalancer, LoadBalancerArgs
from infra.docker.mlflow import MlflowReplica, MlflowReplicaArgs
from infra.docker.nfs import NfsServer, NfsServerArgs
from infra.docker.object_store import (
    CREDENTIALS_FILE,
    ObjectStore,
    ObjectStoreArgs,
)
from infra.docker.object_store import PORT as OBJECT_STORE_PORT
from infra.docker.postgres import PASSWORD_FILE, Postgres, PostgresArgs
from infra.docker.postgres import PORT as POSTGRES_PORT
from infra.docker.schema_job import SchemaJob, SchemaJobArgs
from infra.docker.stores import (
    ARTIFACTS_FOLDER,
    UsedArtifacts,
    UsedDatabase,
    external_database,
    external_nfs,
    external_s3,
    own_nfs,
)
from infra.docker.volume import volume
from infra.docker.zone import Zone, network_component, zone_names
from infra.external import ExternalNfs, ExternalS3, StoreKind
from infra.host_check import wrong_answers
from infra.nginx import PORT as LOAD_BALANCER_PORT
from infra.nginx import STATUS_PORT, Replica
from infra.outputs import (
    ArtifactStore,
    AuditSecrets,
    BackendStore,
    Component,
    Platform,
    Target,
    ZoneNetwork,
)
from infra.postgres import PostgresMemory
from infra.preflight import check_external
from infra.server import LOCAL_HOSTS, TrackingServer
from infra.spec import DeploymentSpec

SERVER_PORT = 5000
"""Port of the tracking server inside its container."""

POSTGRES = "postgres"
OBJECT_STORE = "object-store"
NFS = "nfs"
SCHEMA_JOB = "schema-job"
LOAD_BALANCER = "nginx"


class Deployment(pulumi.ComponentResource):
    """A remote MLflow on Docker."""

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
        check_external(spec)
        client = preflight.connect()
        check_data(stack, spec)
        preflight.check_port(client, stack, spec.bind, spec.port)
        if spec.opens_s3:
            preflight.check_port(client, stack, spec.bind, spec.s3_port, "s3_port")
        names = zone_names(spec.zones)
        subnets = preflight.subnets(
            client,
            [Identity.physical_name(stack, network_component(name)) for name in names],
            spec.subnets,
        )
        self._audit = audit_ports(
            client,
            {Identity.physical_name(stack, name): port for name, port in _audited(spec).items()},
        )
        postgres_memory = (
            preflight.postgres_memory(client, spec.postgres_memory, spec.capacity.max_connections)
            if spec.database is None
            else None
        )
        retry_of = preflight.failed_attempt(client, Identity.physical_name(stack, SCHEMA_JOB))
        nfs = spec.artifact_store is StoreKind.NFS
        self._mounting = nfs_client.choose(client, spec) if nfs else None
        sources = image_sources(spec)
        check_published(client, spec, sources.values())
        client.close()
        super().__init__("mlflow-bench:docker:Deployment", stack, None, opts)
        if self._mounting is not None:
            pulumi.log.info(self._mounting.reason, self)
        self._child = pulumi.ResourceOptions(parent=self)
        self._spec = spec
        self._components: list[pulumi.Output[Component]] = []

        self._identity = Identity(stack, Guard("guard", self._child).deployment)
        self._zones: list[Zone] = []
        for name, subnet in zip(names, subnets, strict=True):
            former = self._zones[-1] if self._zones else None
            self._zones.append(Zone(name, self._identity, subnet, former, self._child))
        self._images = {
            name: Image(name, source, self._child).digest for name, source in sources.items()
        }
        database = self._database(postgres_memory)
        artifacts = self._artifacts()
        server = TrackingServer(
            database=database.address,
            artifacts=artifacts.destination,
            capacity=spec.capacity,
            port=SERVER_PORT,
            workers=spec.workers,
            allowed_hosts=_hosts(spec),
            jobs=spec.jobs,
        )
        secrets = {**database.secrets, **artifacts.secrets}
        schema = SchemaJob(
            SCHEMA_JOB,
            SchemaJobArgs(
                identity=self._identity,
                image=self._images["mlflow"],
                zone=self._zones[0],
                server=server,
                secrets=secrets,
                mount=artifacts.mount,
                after=[database.ready, artifacts.ready],
                retry_of=retry_of,
            ),
            self._child,
        )
        self._replicas(server, schema.image, secrets, artifacts.mount)
        self._preview = pulumi.runtime.is_dry_run()
        self.secrets = pulumi.Output.secret(
            pulumi.Output.all(
                secrets[PASSWORD_FILE], artifacts.secrets.get(CREDENTIALS_FILE)
            ).apply(lambda known: AuditSecrets(database_password=known[0], s3_credentials=known[1]))
        )
        self.target = (
            pulumi.Output.all(
                pulumi.Output.all(*self._components),
                pulumi.Output.all(*(zone.network for zone in self._zones)),
                artifacts.audit,
            )
            .apply(
                lambda known: Target(
                    stack=stack,
                    platform=Platform.DOCKER,
                    tracking_uri=spec.tracking_uri,
                    mlflow_version=version("mlflow"),
                    artifacts=spec.artifact_store,
                    replicas=spec.all_replicas,
                    components=tuple(known[0]),
                    zones=tuple(
                        ZoneNetwork(name=zone, network=network)
                        for zone, network in zip(names, known[1], strict=True)
                    ),
                    backend_store=database.audit,
                    artifact_store=known[2],
                )
            )
            .apply(self._answering)
        )
        self.register_outputs({})

    def _answering(self, target: Target) -> Target:
        """Return `target` if all containers are healthy and the server takes its names only.

        Raises `RunError` otherwise.
        """
        if self._preview:
            return target
        with closing(preflight.connect()) as client:
            containers = [component.container for component in target.components]
            wrong = wait_until_healthy(client, containers, self._spec.start_timeout)
        if not wrong:
            address = target.tracking_uri.removeprefix("http://")
            wrong = wrong_answers(address, _hosts(self._spec))
        if wrong:
            raise pulumi.RunError("\n".join(wrong))
        return target

    def _database(self, settings: PostgresMemory | None) -> UsedDatabase:
        if self._spec.database is not None:
            return external_database(self._spec.database)
        assert settings is not None
        postgres = Postgres(
            POSTGRES,
            PostgresArgs(
                identity=self._identity,
                image=self._images[POSTGRES],
                zones=self._zones,
                max_connections=self._spec.capacity.max_connections,
                audit=self._audited(POSTGRES, POSTGRES_PORT),
                memory=self._spec.postgres_memory,
                settings=settings,
                start_timeout=self._spec.start_timeout,
            ),
            self._child,
        )
        self._add(POSTGRES, "postgres", postgres.container, POSTGRES)
        audit = BackendStore(
            host=LOOPBACK,
            port=self._audit_port(POSTGRES),
            database=postgres.database.name,
            user=postgres.database.user,
        )
        secrets = {PASSWORD_FILE: postgres.password}
        return UsedDatabase(postgres.database, secrets, postgres.container, audit)

    def _artifacts(self) -> UsedArtifacts:
        given = self._spec.artifacts
        if isinstance(given, ExternalS3):
            return external_s3(given, self._spec.presigned)
        if isinstance(given, ExternalNfs):
            assert self._mounting is not None
            return external_nfs(given, self._mounting, self._identity, self)
        if given is StoreKind.NFS:
            return self._nfs()
        if given is StoreKind.VOLUME:
            name = volume(self._identity, "artifacts", self, holds_data=True).name
            audit = name.apply(lambda known: ArtifactStore(uri=ARTIFACTS_FOLDER.uri, volume=known))
            return UsedArtifacts(ARTIFACTS_FOLDER, {}, name, name, audit)
        store = ObjectStore(
            OBJECT_STORE,
            ObjectStoreArgs(
                identity=self._identity,
                image=self._images[OBJECT_STORE],
                engine=self._spec.s3_engine,
                zones=self._zones,
                ports=self._store_ports(),
                presigned_endpoint=presigned_endpoint(self._spec),
                memory=self._spec.object_store_memory,
                start_timeout=self._spec.start_timeout,
            ),
            self._child,
        )
        self._add(OBJECT_STORE, self._spec.s3_engine, store.container, OBJECT_STORE)
        secrets = {CREDENTIALS_FILE: store.credentials}
        found = ArtifactStore(
            uri=store.bucket.uri,
            endpoint=f"http://{self._store_address()}",
            region=store.bucket.region,
        )
        return UsedArtifacts(
            store.bucket, secrets, None, store.container, pulumi.Output.from_input(found)
        )

    def _nfs(self) -> UsedArtifacts:
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
        self._add(NFS, "nfs", server.container, NFS)
        assert self._mounting is not None
        return own_nfs(server, self._mounting, self._identity)

    def _replicas(
        self,
        server: TrackingServer,
        image: pulumi.Output[str],
        secrets: Mapping[str, pulumi.Input[str]],
        mount: ArtifactMount | None,
    ) -> None:
        """Declare the replicas of every zone and, for more than one in all, the load balancer."""
        spec = self._spec
        balanced = spec.all_replicas > 1
        containers: list[pulumi.Output[str]] = []
        addresses: list[Replica] = []
        for zone in self._zones:
            for number in range(1, spec.replicas + 1):
                name = _replica_name(zone.zone, number)
                replica = MlflowReplica(
                    name,
                    MlflowReplicaArgs(
                        identity=self._identity,
                        image=image,
                        zone=zone,
                        address=zone.address(number),
                        server=replace(server, jobs=spec.jobs and not containers),
                        secrets=secrets,
                        mount=mount,
                        published=self._audited(name, SERVER_PORT)
                        if balanced
                        else self._published(SERVER_PORT, spec.port),
                        memory=spec.mlflow_memory,
                        start_timeout=spec.start_timeout,
                    ),
                    self._child,
                )
                containers.append(replica.container)
                addresses.append(Replica(zone.address(number), SERVER_PORT, name))
                self._add(
                    name, "mlflow", replica.container, "mlflow", zone.zone, zone.address(number)
                )
        if balanced:
            balancer = LoadBalancer(
                LOAD_BALANCER,
                LoadBalancerArgs(
                    identity=self._identity,
                    image=self._images["nginx"],
                    zones=self._zones,
                    replicas=tuple(addresses),
                    replica_containers=containers,
                    published=self._published(LOAD_BALANCER_PORT, spec.port),
                    audit=self._audited(LOAD_BALANCER, STATUS_PORT),
                    start_timeout=spec.start_timeout,
                ),
                self._child,
            )
            self._add(LOAD_BALANCER, "nginx", balancer.container, "nginx")

    def _store_ports(self) -> list[docker.ContainerPortArgs]:
        # One alone: the plugin reads two openings of one port back in any order.
        if self._spec.opens_s3:
            return [self._published(OBJECT_STORE_PORT, self._spec.s3_port)]
        return [self._audited(OBJECT_STORE, OBJECT_STORE_PORT)]

    def _store_address(self) -> str:
        if not self._spec.opens_s3:
            return f"{LOOPBACK}:{self._audit_port(OBJECT_STORE)}"
        bind = self._spec.bind
        return f"{LOOPBACK if bind.is_unspecified else bind}:{self._spec.s3_port}"

    def _published(self, internal: int, external: int) -> docker.ContainerPortArgs:
        return docker.ContainerPortArgs(
            internal=internal, external=external, ip=str(self._spec.bind)
        )

    def _audit_port(self, component: str) -> int:
        return self._audit[Identity.physical_name(self._identity.stack, component)]

    def _audited(self, component: str, internal: int) -> docker.ContainerPortArgs:
        return published(internal, self._audit_port(component))

    def _add(
        self,
        name: str,
        kind: str,
        container: pulumi.Output[str],
        image: str,
        zone: str | None = None,
        address: IPv4Address | None = None,
    ) -> None:
        """Note a container for the stack's outputs."""
        port = self._audit.get(Identity.physical_name(self._identity.stack, name))
        audit = f"{LOOPBACK}:{port}" if port else None
        if audit is None and kind == "mlflow":
            audit = self._spec.tracking_uri.removeprefix("http://")
        if name == OBJECT_STORE:
            audit = self._store_address()
        self._components.append(
            pulumi.Output.all(container, self._images[image]).apply(
                lambda known: Component(
                    name=name,
                    kind=kind,
                    container=known[0],
                    image=known[1],
                    zone=zone,
                    address=str(address) if address else None,
                    audit=audit,
                )
            )
        )


def image_sources(spec: DeploymentSpec) -> dict[str, Source]:
    """Return where the image of each component comes from; raises `BuildContextError`."""
    sources = {"mlflow": image_source("mlflow", spec.mlflow_image, spec)}
    if spec.database is None:
        sources[POSTGRES] = image_source("postgres", spec.postgres_image, spec)
    if spec.artifacts is StoreKind.S3:
        sources[OBJECT_STORE] = image_source(spec.s3_engine, spec.object_store_image, spec)
    if spec.artifacts is StoreKind.NFS:
        sources[NFS] = image_source("nfs", spec.nfs_image, spec)
    if spec.all_replicas > 1:
        sources["nginx"] = image_source("nginx", spec.nginx_image, spec)
    return sources


def _hosts(spec: DeploymentSpec) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*LOCAL_HOSTS, *spec.allowed_hosts]))


def _replica_name(zone: str, number: int) -> str:
    return f"mlflow-{zone}-{number}"


def _audited(spec: DeploymentSpec) -> dict[str, int]:
    """Return the components with a port of their own for checks, and the port inside.

    A replica that stands alone is reached by the stack's own port, S3 that is open to clients by
    theirs.
    """
    ports = {} if spec.database else {POSTGRES: POSTGRES_PORT}
    if spec.artifacts is StoreKind.S3 and not spec.opens_s3:
        ports[OBJECT_STORE] = OBJECT_STORE_PORT
    if spec.all_replicas > 1:
        ports[LOAD_BALANCER] = STATUS_PORT
        for zone in zone_names(spec.zones):
            for number in range(1, spec.replicas + 1):
                ports[_replica_name(zone, number)] = SERVER_PORT
    return ports


def presigned_endpoint(spec: DeploymentSpec) -> str | None:
    """Return the address by which clients reach the stack's own S3, if they are to."""
    if not spec.opens_s3:
        return None
    # Where others than this machine's clients are let in, they come by an allowed name.
    others = [host for host in spec.allowed_hosts if host not in LOCAL_HOSTS]
    host = spec.bind if spec.bind.is_loopback else others[0]
    return f"http://{host}:{spec.s3_port}"
