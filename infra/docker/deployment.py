"""How the components are wired into a deployment on Docker."""

from importlib.metadata import version
from pathlib import PurePosixPath

import pulumi
import pulumi_docker as docker

from infra.docker import preflight
from infra.docker.container import volume
from infra.docker.guard import Guard
from infra.docker.identity import Identity
from infra.docker.image import Image, image_source
from infra.docker.mlflow import MlflowReplica, MlflowReplicaArgs
from infra.docker.network import Network
from infra.docker.postgres import Postgres, PostgresArgs
from infra.docker.schema_job import SchemaJob, SchemaJobArgs
from infra.outputs import Component, Platform, Target
from infra.server import ArtifactFolder, TrackingServer
from infra.spec import DeploymentSpec

SERVER_PORT = 5000
"""Port of the tracking server inside its container."""

ARTIFACTS_FOLDER = ArtifactFolder(PurePosixPath("/var/lib/mlflow/artifacts"))


class Deployment(pulumi.ComponentResource):
    """A remote MLflow on Docker."""

    target: pulumi.Output[Target]
    """What a workload has to know, as soon as the server is ready."""

    def __init__(
        self,
        stack: str,
        spec: DeploymentSpec,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        client = preflight.connect()
        preflight.check_port(client, stack, spec.bind, spec.port)
        postgres_source = image_source("postgres", spec.postgres_image)
        mlflow_source = image_source("mlflow", spec.mlflow_image, spec.mlflow)
        super().__init__("mlflow-bench:docker:Deployment", stack, None, opts)
        child = pulumi.ResourceOptions(parent=self)

        identity = Identity(stack, Guard("guard", child).deployment)
        network = Network("network", identity, spec.subnet, child).network
        postgres_image = Image("postgres", postgres_source, spec.base_image, child).digest
        mlflow_image = Image("mlflow", mlflow_source, spec.base_image, child).digest
        postgres = Postgres(
            "postgres",
            PostgresArgs(
                identity=identity,
                image=postgres_image,
                network=network,
                max_connections=spec.capacity.max_connections,
                memory=spec.postgres_memory,
                start_timeout=spec.start_timeout,
            ),
            child,
        )
        server = TrackingServer(
            database=postgres.database,
            artifacts=ARTIFACTS_FOLDER,
            capacity=spec.capacity,
            port=SERVER_PORT,
            workers=spec.workers,
            allowed_hosts=("localhost", "127.0.0.1", *spec.allowed_hosts),
            jobs=spec.jobs,
        )
        schema = SchemaJob(
            "schema-job",
            SchemaJobArgs(
                identity=identity,
                image=mlflow_image,
                network=network,
                server=server,
                password=postgres.password,
                database_container=postgres.container,
                retry_of=preflight.failed_attempt(client, identity.name("schema-job")),
            ),
            child,
        )
        client.close()
        replica = MlflowReplica(
            "mlflow",
            MlflowReplicaArgs(
                identity=identity,
                image=schema.image,
                network=network,
                server=server,
                password=postgres.password,
                artifacts_volume=volume(identity, "artifacts", self).name,
                published=docker.ContainerPortArgs(
                    internal=SERVER_PORT, external=spec.port, ip=str(spec.bind)
                ),
                memory=spec.mlflow_memory,
                start_timeout=spec.start_timeout,
            ),
            child,
        )
        self.target = pulumi.Output.all(
            postgres.container,
            postgres_image,
            replica.container,
            mlflow_image,
        ).apply(
            lambda known: Target(
                stack=stack,
                platform=Platform.DOCKER,
                tracking_uri=tracking_uri(spec),
                mlflow_version=version("mlflow"),
                artifacts=spec.artifacts,
                replicas=spec.replicas,
                components=(
                    Component(name="postgres", kind="postgres", container=known[0], image=known[1]),
                    Component(name="mlflow", kind="mlflow", container=known[2], image=known[3]),
                ),
            )
        )
        self.register_outputs({})


def tracking_uri(spec: DeploymentSpec) -> str:
    """Return the address that a client on this machine uses."""
    host = "localhost" if spec.bind.is_loopback or spec.bind.is_unspecified else spec.bind
    return f"http://{host}:{spec.port}"
