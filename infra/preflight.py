"""Looks at the services outside the stack before anything is created.

It runs on the machine of `pulumi up`, and the servers run elsewhere: in containers. The schema
job therefore asks for the database and the artifact store again, from where a server would be. A
service that only a cluster reaches, or a role that only its pods have, is left to that job.
"""

import socket
import ssl
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from infra import database, s3
from infra.external import DEFAULT_REGION, ExternalNfs, ExternalS3
from infra.outputs import Platform
from infra.spec import DeploymentSpec, SpecError

NFS_PORT = 2049


def check_external(spec: DeploymentSpec) -> list[str]:
    """Raise `SpecError`, a line for each, when external services cannot be used as described.

    Returns a line for each that could not be asked from here, where the cluster may reach it.
    """
    problems, unseen = [], []
    for key, check in (("artifacts", _check_artifacts), ("database", _check_database)):
        try:
            check(spec)
        except SpecError as error:
            problems.append(str(error))
        except (s3.S3Error, database.DatabaseError) as error:
            unreached = isinstance(error, (s3.UnreachedError, database.UnreachedError))
            if unreached and spec.platform is Platform.KUBERNETES:
                unseen.append(
                    f"{key}: {error} (asked from this machine: the schema job asks again from "
                    "inside the cluster, before any server starts)"
                )
            else:
                problems.append(f"{key}: {error}")
    if problems:
        raise SpecError("\n".join(problems))
    return unseen


def bucket(given: ExternalS3) -> s3.Bucket:
    """Return a stack file's bucket as the check of buckets takes it."""
    return s3.Bucket(
        name=given.bucket,
        endpoint=given.endpoint,
        region=given.region or DEFAULT_REGION,
        access_key=given.access_key,
        secret_key=given.secret_key.get_secret_value() if given.secret_key else None,
        session_token=given.session_token.get_secret_value() if given.session_token else None,
        prefix=given.prefix,
        ca=given.ca,
    )


def _check_artifacts(spec: DeploymentSpec) -> None:
    given = spec.artifacts
    if isinstance(given, ExternalNfs):
        _check_host("artifacts.server", given.server)
        _check_nfs(given)
    if not isinstance(given, ExternalS3):
        return
    if given.endpoint is not None:
        _check_host("artifacts.endpoint", urlsplit(given.endpoint).hostname or "")
    _check_certificates("artifacts.ca", given.ca)
    if given.access_key is None and spec.platform is Platform.KUBERNETES:
        s3.check_unsigned(bucket(given))
    else:
        s3.check(bucket(given))


def _check_nfs(given: ExternalNfs) -> None:
    """Connect only: an export cannot be written to without a mount, which the schema job has."""
    try:
        socket.create_connection((given.server, NFS_PORT), timeout=5).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError(
            f"artifacts.server: no NFS server answers at {given.server}:{NFS_PORT} ({reason}); "
            "correct it, or start the server"
        ) from None


def _check_database(spec: DeploymentSpec) -> None:
    if spec.database is None:
        return
    _check_host("database.url", spec.database.host)
    _check_certificates("database.ca", spec.database.ca)
    database.check(spec.database, spec.capacity)


def _check_host(key: str, host: str) -> None:
    """Refuse a host that is another one inside a container."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return  # The connection says so better.
    addresses = {ip_address(str(place[4][0]).partition("%")[0]) for place in found}
    if all(address.is_loopback or address.is_unspecified for address in addresses):
        raise SpecError(
            f"{key}: {host} leads a server's container to itself, not to this machine; give an "
            "address of this machine that leads here from elsewhere, too"
        )


def _check_certificates(key: str, path: Path | None) -> None:
    if path is None:
        return
    try:
        ssl.create_default_context(cafile=path)
    except ssl.SSLError:
        raise SpecError(f"{key}: {path}: holds no certificates in PEM format; correct it") from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError(f"{key}: {path}: cannot be read: {reason}; correct the path") from None
