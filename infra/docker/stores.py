"""What servers need of a stack's database and artifact store, its own ones or external ones."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pulumi

from infra.docker.artifact_mount import FOLDER, ArtifactMount, FuseMount, kernel_volume
from infra.docker.files import SECRETS_FOLDER
from infra.docker.identity import Identity
from infra.docker.nfs import EXPORT, NfsServer
from infra.docker.nfs_client import Mounting
from infra.docker.object_store import CREDENTIALS_FILE, CREDENTIALS_PATH, credentials_file
from infra.docker.postgres import PASSWORD_FILE
from infra.external import DEFAULT_REGION, ExternalDatabase, ExternalNfs, ExternalS3, NfsVersion
from infra.outputs import ArtifactStore, BackendStore
from infra.server import ArtifactFolder, Database, S3Bucket

ARTIFACTS_FOLDER = ArtifactFolder(FOLDER)

ARTIFACTS_CA = "artifacts-ca.crt"
DATABASE_CA = "database-ca.crt"
"""Names of the files, among the secrets, that servers check external services by."""


@dataclass(frozen=True)
class UsedArtifacts:
    """Where artifacts go, and what a server needs for that."""

    destination: ArtifactFolder | S3Bucket
    secrets: Mapping[str, pulumi.Input[str]]
    mount: ArtifactMount | None
    """Where the folder comes from, if they are in one."""
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


def external_s3(given: ExternalS3, presigned: bool) -> UsedArtifacts:
    """Return how servers use somebody else's bucket, and clients, too, if `presigned`."""
    secrets: dict[str, pulumi.Input[str]] = {}
    if given.access_key is not None and given.secret_key is not None:
        token = given.session_token.get_secret_value() if given.session_token else None
        content = credentials_file(given.access_key, given.secret_key.get_secret_value(), token)
        secrets[CREDENTIALS_FILE] = pulumi.Output.secret(content)
    if given.ca is not None:
        secrets[ARTIFACTS_CA] = given.ca.read_text()
    bucket = S3Bucket(
        bucket=given.bucket,
        endpoint=given.endpoint,
        region=given.region or DEFAULT_REGION,
        prefix=given.prefix,
        credentials_file=CREDENTIALS_PATH if given.access_key else None,
        ca_file=PurePosixPath(SECRETS_FOLDER) / ARTIFACTS_CA if given.ca else None,
        service=given.endpoint or "AWS S3",
        presigned_endpoint=given.endpoint or f"https://s3.{given.region}.amazonaws.com"
        if presigned
        else None,
    )
    audit = ArtifactStore(uri=bucket.uri, endpoint=bucket.endpoint, region=bucket.region)
    return UsedArtifacts(bucket, secrets, None, bucket.uri, pulumi.Output.from_input(audit))


def external_nfs(
    given: ExternalNfs, mounting: Mounting, identity: Identity, parent: pulumi.Resource
) -> UsedArtifacts:
    """Return how servers use somebody else's NFS export."""
    destination = replace(ARTIFACTS_FOLDER, service=f"nfs://{given.server}{given.path}")
    mount: ArtifactMount = FuseMount(given.server, given.path, mounting.apparmor)
    if mounting.kernel:
        mount = kernel_volume(
            identity,
            "artifacts",
            given.server,
            given.path,
            given.version,
            given.options,
            parent,
        ).name
    audit = ArtifactStore(uri=destination.uri)
    return UsedArtifacts(destination, {}, mount, given.server, pulumi.Output.from_input(audit))


def own_nfs(server: NfsServer, mounting: Mounting, identity: Identity) -> UsedArtifacts:
    """Return how servers use the stack's own NFS export."""
    destination = replace(ARTIFACTS_FOLDER, service=f"nfs://nfs{EXPORT}")
    mount: ArtifactMount = FuseMount("nfs", EXPORT, mounting.apparmor)
    if mounting.kernel:
        mount = kernel_volume(
            identity,
            "artifacts",
            # Not before the server is there: the volume is mounted with the first container.
            server.container.apply(lambda _: str(server.address)),
            EXPORT,
            NfsVersion.V4_2,
            None,
            server,
        ).name
    audit = server.volume.apply(lambda name: ArtifactStore(uri=destination.uri, volume=name))
    return UsedArtifacts(destination, {}, mount, server.container, audit)


def external_database(given: ExternalDatabase) -> UsedDatabase:
    """Return how servers use somebody else's database."""
    secrets: dict[str, pulumi.Input[str]] = {PASSWORD_FILE: pulumi.Output.secret(given.password)}
    if given.ca is not None:
        secrets[DATABASE_CA] = given.ca.read_text()
    address = Database(
        host=given.host,
        port=given.port,
        name=given.name,
        user=given.user,
        ssl_mode=given.ssl_mode,
        ca_file=PurePosixPath(SECRETS_FOLDER) / DATABASE_CA if given.ca else None,
    )
    audit = BackendStore(host=given.host, port=given.port, database=given.name, user=given.user)
    return UsedDatabase(address, secrets, address.uri, audit)
