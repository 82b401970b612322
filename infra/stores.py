"""What servers need of a database and an artifact store, be they the stack's own or not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pulumi

from infra.components.secret_files import (
    ARTIFACTS_CA,
    CREDENTIALS_FILE,
    CREDENTIALS_PATH,
    DATABASE_CA,
    PASSWORD_FILE,
    SECRETS_FOLDER,
    credentials_file,
)
from infra.components.server import PORT, ArtifactFolder, Database, S3Bucket, TrackingServer
from infra.outputs import ArtifactStore, AuditSecrets, BackendStore
from infra.specification.deployment import DeploymentSpec
from infra.specification.external import DEFAULT_REGION, ExternalDatabase, ExternalS3
from infra.tls import InsideCertificate

DATABASE_CA_PATH = PurePosixPath(SECRETS_FOLDER) / DATABASE_CA


@dataclass(frozen=True)
class UsedArtifacts:
    """Where artifacts go, and what a server needs for that."""

    destination: ArtifactFolder | S3Bucket
    secrets: Mapping[str, pulumi.Input[str]]
    ready: pulumi.Input[str]
    """Known once the store can be used."""
    audit: pulumi.Output[ArtifactStore]
    """How checks reach the store."""


@dataclass(frozen=True)
class UsedDatabase:
    """Where the backend store is, and what a server needs for that."""

    address: Database
    secrets: Mapping[str, pulumi.Input[str]]
    ready: pulumi.Input[str]
    """Known once the database answers."""
    audit: BackendStore
    """How checks reach the database."""


def audit_secrets(database: UsedDatabase, artifacts: UsedArtifacts) -> pulumi.Output[AuditSecrets]:
    """Return what checks need to read the stores themselves, as a secret."""
    known = pulumi.Output.all(
        database.secrets[PASSWORD_FILE], artifacts.secrets.get(CREDENTIALS_FILE)
    )
    return pulumi.Output.secret(
        known.apply(lambda each: AuditSecrets(database_password=each[0], s3_credentials=each[1]))
    )


def own_database(
    address: Database,
    password: pulumi.Output[str],
    ready: pulumi.Output[str],
    host: str,
    port: int,
    certificate: InsideCertificate | None,
) -> UsedDatabase:
    """Return how servers use the stack's own database, and checks at `host` and `port`.

    With a `certificate`, it is the database that can show it, or none.
    """
    audit = BackendStore(host=host, port=port, database=address.name, user=address.user)
    secrets: dict[str, pulumi.Input[str]] = {PASSWORD_FILE: password}
    if certificate is not None:
        secrets[DATABASE_CA] = certificate.ca
        address = replace(address, ssl_mode="verify-full", ca_file=DATABASE_CA_PATH)
    return UsedDatabase(address, secrets, ready, audit)


def own_bucket(
    bucket: S3Bucket, credentials: pulumi.Output[str], ready: pulumi.Output[str], endpoint: str
) -> UsedArtifacts:
    """Return how servers use the stack's own bucket, and checks at `endpoint`."""
    audit = ArtifactStore(uri=bucket.uri, endpoint=endpoint, region=bucket.region)
    secrets = {CREDENTIALS_FILE: credentials}
    return UsedArtifacts(bucket, secrets, ready, pulumi.Output.from_input(audit))


def tracking_server(
    spec: DeploymentSpec,
    database: UsedDatabase,
    artifacts: UsedArtifacts,
    *,
    more_hosts: tuple[str, ...] = (),
    metrics: bool = False,
) -> TrackingServer:
    """Return the server that a stack file describes, on these stores."""
    return TrackingServer(
        database=database.address,
        artifacts=artifacts.destination,
        capacity=spec.capacity,
        port=PORT,
        workers=spec.workers,
        allowed_hosts=(*spec.hosts, *more_hosts),
        jobs=spec.jobs,
        metrics=metrics,
        traces=spec.traces,
        users=spec.users,
        tls=spec.tls_inside,
        workspaces=spec.workspaces,
    )


def external_s3(artifacts: ExternalS3, presigned: bool) -> UsedArtifacts:
    """Return how servers use a bucket outside the stack, and clients, too, if `presigned`."""
    secrets: dict[str, pulumi.Input[str]] = {}
    if artifacts.access_key is not None and artifacts.secret_key is not None:
        token = artifacts.session_token.get_secret_value() if artifacts.session_token else None
        content = credentials_file(
            artifacts.access_key, artifacts.secret_key.get_secret_value(), token
        )
        secrets[CREDENTIALS_FILE] = pulumi.Output.secret(content)
    if artifacts.ca is not None:
        secrets[ARTIFACTS_CA] = artifacts.ca.read_text()
    bucket = S3Bucket(
        bucket=artifacts.bucket,
        endpoint=artifacts.endpoint,
        region=artifacts.region or DEFAULT_REGION,
        prefix=artifacts.prefix,
        credentials_file=CREDENTIALS_PATH if artifacts.access_key else None,
        ca_file=PurePosixPath(SECRETS_FOLDER) / ARTIFACTS_CA if artifacts.ca else None,
        service=artifacts.endpoint or "AWS S3",
        presigned_endpoint=artifacts.endpoint or f"https://s3.{artifacts.region}.amazonaws.com"
        if presigned
        else None,
    )
    audit = ArtifactStore(uri=bucket.uri, endpoint=bucket.endpoint, region=bucket.region)
    return UsedArtifacts(bucket, secrets, bucket.uri, pulumi.Output.from_input(audit))


def external_database(database: ExternalDatabase) -> UsedDatabase:
    """Return how servers use a database outside the stack."""
    secrets: dict[str, pulumi.Input[str]] = {PASSWORD_FILE: pulumi.Output.secret(database.password)}
    if database.ca is not None:
        secrets[DATABASE_CA] = database.ca.read_text()
    address = Database(
        host=database.host,
        port=database.port,
        name=database.name,
        user=database.user,
        ssl_mode=database.ssl_mode,
        ca_file=DATABASE_CA_PATH if database.ca else None,
    )
    audit = BackendStore(
        host=database.host, port=database.port, database=database.name, user=database.user
    )
    return UsedDatabase(address, secrets, address.uri, audit)
