"""Certificates for tests, made when they are asked for."""

from dataclasses import dataclass
from pathlib import Path

from infra import certificates
from infra.certificates import Pair

ALREADY_EXPIRED = -0.01
"""Days: they are valid from an hour ago on."""


@dataclass(frozen=True)
class Files:
    """A server's certificate and key, and that of the authority."""

    cert: Path
    key: Path
    ca: Path


def write(folder: Path, *hosts: str, days: float = 90) -> Files:
    """Write a certificate for `hosts`, by an authority of its own, to a new folder."""
    folder.mkdir()
    authority = certificates.new_authority("authority of a test")
    pair = certificates.signed(authority, "server of a test", hosts, days)
    return _written(folder, pair, authority)


def _written(folder: Path, pair: Pair, authority: Pair) -> Files:
    files = Files(folder / "server.crt", folder / "server.key", folder / "ca.crt")
    files.cert.write_text(pair.certificate)
    files.key.write_text(pair.key)
    files.ca.write_text(authority.certificate)
    return files
