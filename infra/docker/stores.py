"""What servers need of a stack's database and artifact store, its own ones or external ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import pulumi

from infra.docker.container import SECRETS_FOLDER
from infra.docker.object_store import CREDENTIALS_FILE, CREDENTIALS_PATH, credentials_file
from infra.docker.postgres import PASSWORD_FILE
from infra.external import DEFAULT_REGION, ExternalDatabase, ExternalS3
from infra.outputs import ArtifactStore, BackendStore
from infra.server import ArtifactFolder, Database, S3Bucket

ARTIFACTS_CA = "artifacts-ca.crt"
DATABASE_CA = "database-ca.crt"
"""Names of the files, among the secrets, that servers check external services by."""


@dataclass(frozen=True)
class UsedArtifacts:
    """Where artifacts go, and what a server needs for that."""

    destination: ArtifactFolder | S3Bucket
    secrets: Mapping[str, pulumi.Input[str]]
    volume: pulumi.Input[str] | None
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


def external_s3(given: ExternalS3) -> UsedArtifacts:
    """Return how servers use somebody else's bucket."""
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
    )
    audit = ArtifactStore(uri=bucket.uri, endpoint=bucket.endpoint, region=bucket.region)
    return UsedArtifacts(bucket, secrets, None, bucket.uri, pulumi.Output.from_input(audit))


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
