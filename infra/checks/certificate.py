"""Whether the certificate that a stack file names can be served, before anything is created."""

import datetime
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from infra.certificates import SOON, hosts_of, is_for
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.tls import TlsFiles


def check_certificate(spec: DeploymentSpec, load_host: str | None = None) -> list[str]:
    """Return warnings; raise `SpecError` with one line for what clients would not accept.

    `load_host` is what a load from inside a cluster asks for, if there is one.
    """
    if not isinstance(spec.tls, TlsFiles):
        return []
    cert, key = spec.tls.cert, spec.tls.key
    served, *_ = chain = _certificates("tls.cert", cert)
    if spec.tls.ca:
        _certificates("tls.ca", spec.tls.ca)
    if _key(key).public_key() != served.public_key():
        raise SpecError(f"tls.key: {key}: is the key of another certificate than {cert}")
    now = datetime.datetime.now(datetime.UTC)
    for each in chain:
        ends, begins = each.not_valid_after_utc, each.not_valid_before_utc
        if ends <= now:
            raise SpecError(f"tls.cert: {cert}: expired on {ends:%Y-%m-%d}; renew it")
        if begins > now:
            raise SpecError(
                f"tls.cert: {cert}: is not valid before {begins:%Y-%m-%d %H:%M} UTC; see this "
                "machine's clock, or wait"
            )
    known = ", ".join(hosts_of(served)) or "no host (it has no subject alternative name)"
    asked = {
        urlsplit(spec.tracking_uri).hostname: "clients of the stack ask for; put the certificate's "
        "name first in allowed_hosts",
        load_host: "a load from inside the cluster asks for; set kubernetes.load_inside false",
    }
    for host, remedy in asked.items():
        if host and not is_for(served, host):
            raise SpecError(f"tls.cert: {cert}: is for {known}, and not for {host}, which {remedy}")
    others = [host for host in spec.allowed_hosts if not is_for(served, host)]
    soonest = min(each.not_valid_after_utc for each in chain)
    ending = f"tls.cert: {cert}: ends on {soonest:%Y-%m-%d}; renew it, then pulumi up"
    return [
        *([ending] if soonest - now < SOON else []),
        *(
            f"tls.cert: {cert}: is not for {host} of allowed_hosts: clients refuse it there"
            for host in others
        ),
    ]


def _certificates(path_key: str, path: Path) -> list[x509.Certificate]:
    content = _read(path_key, path)
    try:
        return x509.load_pem_x509_certificates(content)
    except ValueError:
        raise SpecError(f"{path_key}: {path}: has no certificate in PEM form in it") from None


def _key(path: Path) -> PrivateKeyTypes:
    content = _read("tls.key", path)
    try:
        return serialization.load_pem_private_key(content, password=None)
    except TypeError:
        raise SpecError(
            f"tls.key: {path}: needs a passphrase, which nginx has nobody to ask for; decrypt it: "
            f"openssl pkey -in {path} -out {path}.plain"
        ) from None
    except ValueError:
        raise SpecError(f"tls.key: {path}: has no private key in PEM form in it") from None


def _read(path_key: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SpecError(f"{path_key}: {path}: {error.strerror}") from None
