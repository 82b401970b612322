"""X.509: an authority and the certificates that it signs, all as PEM texts."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_DAYS = 3650
SERVER_DAYS = 825
"""Longest that Apple's clients take of an authority that is not a public one."""

RENEWED_DAYS = 60
"""A certificate with less left than this is renewed by the next deployment."""

SOON = datetime.timedelta(days=30)
"""Before its end, a certificate is warned about."""


@dataclass(frozen=True)
class Pair:
    """A certificate and its private key."""

    certificate: str
    key: str = field(repr=False)


def new_authority(name: str) -> Pair:
    """Return an authority, which may sign servers' certificates and no other authority's."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = _subject(name)
    builder = _builder(subject, subject, key, key, AUTHORITY_DAYS)
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return _pair(certificate, key)


def signed(
    authority: Pair, name: str, hosts: Sequence[str], most_days: float = SERVER_DAYS
) -> Pair:
    """Return a server's certificate for `hosts`, which are names and addresses."""
    issuer = x509.load_pem_x509_certificate(authority.certificate.encode())
    issuer_key = serialization.load_pem_private_key(authority.key.encode(), password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    left = issuer.not_valid_after_utc - datetime.datetime.now(datetime.UTC)
    days = min(most_days, left.days)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    certificate = (
        _builder(_subject(name), issuer.subject, key, issuer_key, days)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.SubjectAlternativeName([_general(host) for host in hosts]), critical=False
        )
        .sign(issuer_key, hashes.SHA256())
    )
    return _pair(certificate, key)


def days_left(certificate: str) -> float:
    """Return the days until a certificate expires; negative after that."""
    parsed = x509.load_pem_x509_certificate(certificate.encode())
    return (parsed.not_valid_after_utc - datetime.datetime.now(datetime.UTC)) / datetime.timedelta(
        1
    )


def soonest_end(chain: str) -> datetime.datetime:
    """Return when the first of some certificates expires; raises `ValueError` where none is."""
    return min(one.not_valid_after_utc for one in x509.load_pem_x509_certificates(chain.encode()))


def hosts_of(certificate: x509.Certificate) -> list[str]:
    """Return the names and addresses that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    addresses = names.get_values_for_type(x509.IPAddress)
    return [*names.get_values_for_type(x509.DNSName), *map(str, addresses)]


def is_for(certificate: x509.Certificate, host: str) -> bool:
    """Tell whether clients take a certificate for a host's; a `*` stands for one part of a name."""
    bare = host.strip("[]").lower()
    for name in (known.lower() for known in hosts_of(certificate)):
        if name == bare:
            return True
        if name.startswith("*.") and bare.partition(".")[2] == name[2:]:
            return True
    return False


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host.strip("[]")))
    except ValueError:
        return x509.DNSName(host)


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    days: float,
) -> x509.CertificateBuilder:
    now = datetime.datetime.now(datetime.UTC)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Clients' clocks may be behind.
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(identifier, critical=False)
    )


def _pair(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> Pair:
    text = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM)
    return Pair(pem.decode(), text.decode())
