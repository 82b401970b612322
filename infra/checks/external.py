"""Checks the services outside the stack before anything is created.

It runs on the machine of `pulumi up`, and the servers run elsewhere: in containers. The schema
job therefore checks the database and the artifact store again, from where a server would be. A
service that only a cluster reaches, or a role that only its pods have, is left to that job.
"""

import socket
import ssl
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from infra.checks import database, oidc, s3
from infra.outputs import Platform
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.external import ExternalNfs, ExternalS3

NFS_PORT = 2049


def check_external(spec: DeploymentSpec) -> list[str]:
    """Raise `SpecError`, a line for each, when external services cannot be used as described.

    Returns a line for each that this machine cannot reach and the cluster may.
    """
    problems, unreached_lines = [], []
    for key, check in (
        ("artifacts", _check_artifacts),
        ("database", _check_database),
        ("oidc", _check_provider),
    ):
        try:
            check(spec)
        except SpecError as error:
            problems.append(str(error))
        except oidc.UnreachedError as error:
            if spec.platform is Platform.KUBERNETES:
                unreached_lines.append(
                    f"{error} (asked from this machine: nobody gets in where the cluster does not "
                    "reach it either)"
                )
            else:
                problems.append(str(error))
        except (s3.S3Error, database.DatabaseError) as error:
            is_unreached = isinstance(error, (s3.UnreachedError, database.UnreachedError))
            if is_unreached and spec.platform is Platform.KUBERNETES:
                unreached_lines.append(
                    f"{key}: {error} (asked from this machine: the schema job asks again from "
                    "inside the cluster, before any server starts)"
                )
            else:
                problems.append(f"{key}: {error}")
    if problems:
        raise SpecError("\n".join(problems))
    return unreached_lines


def _check_artifacts(spec: DeploymentSpec) -> None:
    artifacts = spec.artifacts
    if isinstance(artifacts, ExternalNfs):
        _check_host("artifacts.server", artifacts.server)
        _check_nfs(artifacts)
    if not isinstance(artifacts, ExternalS3):
        return
    if artifacts.endpoint is not None:
        _check_host("artifacts.endpoint", urlsplit(artifacts.endpoint).hostname or "")
    _check_certificates("artifacts.ca", artifacts.ca)
    if artifacts.access_key is None and spec.platform is Platform.KUBERNETES:
        s3.check_unsigned(artifacts)
    else:
        s3.check(artifacts)


def _check_nfs(export: ExternalNfs) -> None:
    """Connect only: writing needs a mount, which the schema job has."""
    try:
        socket.create_connection((export.server, NFS_PORT), timeout=5).close()
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise SpecError(
            f"artifacts.server: no NFS server answers at {export.server}:{NFS_PORT} ({reason}); "
            "correct it, or start the server"
        ) from None


def _check_database(spec: DeploymentSpec) -> None:
    if spec.database is None:
        return
    _check_host("database.url", spec.database.host)
    _check_certificates("database.ca", spec.database.ca)
    database.check(spec.database, spec.capacity, users=spec.users is not None)


def _check_provider(spec: DeploymentSpec) -> None:
    if spec.oidc is None:
        return
    _check_host("oidc.issuer", urlsplit(spec.oidc.issuer).hostname or "")
    _check_certificates("oidc.ca", spec.oidc.ca)
    oidc.check(spec.oidc)


def _check_host(key: str, host: str) -> None:
    """Refuse a host name that leads a container to itself."""
    try:
        answers = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return  # Connecting gives a better message.
    addresses = {ip_address(str(answer[4][0]).partition("%")[0]) for answer in answers}
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
