"""The certificates that a stack serves, and the files that its clients verify them by.

An authority of the stack's own is made once. It is in the state with both private keys, encrypted,
so that clients that trust it do so over every update; only the server's certificate is renewed,
when it is for other names or soon expires.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pulumi
from pulumi import dynamic

from infra import certificates
from infra.certificates import Pair
from infra.components.names import POSTGRES
from infra.components.secret_files import TLS_CERTIFICATE_FILE, TLS_KEY_FILE
from infra.components.server import TLS_NAME
from infra.names import Names
from infra.own_provider import OwnProvider
from infra.specification.deployment import DeploymentSpec
from infra.specification.tls import TlsFiles

FOLDER = Path(__file__).resolve().parents[1] / ".state" / "tls"


HERE = ("localhost", "127.0.0.1")
"""What checks on this machine reach a component by."""


@dataclass(frozen=True, kw_only=True)
class Certificate:
    """What a component shows whoever connects to it."""

    certificate: pulumi.Input[str]
    key: pulumi.Input[str]
    """A secret."""

    @property
    def files(self) -> dict[str, pulumi.Input[str]]:
        """Secret files of the component: contents by name."""
        return {TLS_CERTIFICATE_FILE: self.certificate, TLS_KEY_FILE: self.key}


@dataclass(frozen=True, kw_only=True)
class ServedCertificate(Certificate):
    """What the front of a stack shows its clients."""

    ca_file: pulumi.Output[str | None]
    """File with the authority's certificate, known once it is there; None: a public authority."""


@dataclass(frozen=True, kw_only=True)
class InsideCertificate(Certificate):
    """What a component shows the others of its stack."""

    ca: pulumi.Output[str]
    """Certificate of the authority, which signs for this component alone."""


@dataclass(frozen=True, kw_only=True)
class InsideCertificates:
    """What the components of a stack show each other, with `tls_inside`."""

    replicas: InsideCertificate
    """One for all of them."""
    database: InsideCertificate | None
    """None: it is outside the stack."""
    ca_file: pulumi.Output[str | None]
    """File of this machine with the authorities' certificates, for checks."""


def served_certificate(
    stack: str, spec: DeploymentSpec, parent: pulumi.Resource, more_hosts: Sequence[str] = ()
) -> ServedCertificate | None:
    """Return the certificate of a stack, declared as its resources; None: it has no TLS.

    `more_hosts` are names that clients have beside those of the stack file.
    """
    if not spec.tls:
        return None
    if isinstance(spec.tls, TlsFiles):
        ca = str(spec.tls.ca.absolute()) if spec.tls.ca else None
        return ServedCertificate(
            certificate=spec.tls.cert.read_text(),
            key=pulumi.Output.secret(spec.tls.key.read_text()),
            ca_file=pulumi.Output.from_input(ca),
        )
    child = pulumi.ResourceOptions(parent=parent)
    names = Names(stack)
    bind = [] if spec.bind.is_unspecified else [str(spec.bind)]
    hosts = [host.strip("[]") for host in (*spec.hosts, *bind, *more_hosts)]
    own = OwnCertificate(names.logical("tls"), stack, list(dict.fromkeys(hosts)), child)
    file = CaFile(
        names.logical("tls-ca-file"), str(FOLDER / f"{stack}.crt"), own.ca_certificate, child
    )
    return ServedCertificate(certificate=own.certificate, key=own.key, ca_file=file.path)


def inside_certificates(
    stack: str, spec: DeploymentSpec, parent: pulumi.Resource
) -> InsideCertificates | None:
    """Return the certificates of a stack's components, declared as resources.

    None: no TLS is asked for there. Each kind has an authority of its own, so that what leaks of
    one is of no use at the other.
    """
    if not spec.tls_inside:
        return None
    child = pulumi.ResourceOptions(parent=parent)
    names = Names(stack)

    def own(kind: str, host: str) -> InsideCertificate:
        made = OwnCertificate(names.logical(f"tls-{kind}"), f"{stack} {kind}", (host, *HERE), child)
        return InsideCertificate(certificate=made.certificate, key=made.key, ca=made.ca_certificate)

    replicas = own("replicas", TLS_NAME)
    database = None if spec.database else own("database", POSTGRES)
    authorities = [replicas.ca, *([database.ca] if database else [])]
    file = CaFile(
        names.logical("tls-inside-ca-file"),
        str(FOLDER / f"{stack}.inside.pem"),
        pulumi.Output.concat(*authorities),
        child,
    )
    return InsideCertificates(replicas=replicas, database=database, ca_file=file.path)


class Issuer(OwnProvider):
    """An authority and a certificate that it signed."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Make both."""
        authority = certificates.new_authority(f"mlflow-bench {props['stack']} authority")
        outs = _issue(props, authority)
        return dynamic.CreateResult(id_=props["stack"], outs=outs)

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Tell whether another certificate is needed."""
        ends_soon = certificates.days_left(olds["certificate"]) < certificates.RENEWED_DAYS
        return dynamic.DiffResult(changes=ends_soon or olds["hosts"] != news["hosts"])

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Sign another certificate by the same authority, unless that ends soon itself."""
        authority = Pair(olds["ca_certificate"], olds["authority_key"])
        if certificates.days_left(authority.certificate) < certificates.RENEWED_DAYS:
            authority = certificates.new_authority(f"mlflow-bench {news['stack']} authority")
        return dynamic.UpdateResult(outs=_issue(news, authority))


def _issue(props: dict[str, Any], authority: Pair) -> dict[str, Any]:
    served = certificates.signed(authority, f"mlflow-bench {props['stack']}", props["hosts"])
    return {
        "stack": props["stack"],
        "hosts": props["hosts"],
        "ca_certificate": authority.certificate,
        "authority_key": authority.key,
        "certificate": served.certificate,
        "key": served.key,
    }


class OwnCertificate(dynamic.Resource):
    """A certificate by the stack's own authority."""

    ca_certificate: pulumi.Output[str]
    certificate: pulumi.Output[str]
    key: pulumi.Output[str]

    def __init__(
        self, name: str, stack: str, hosts: Sequence[str], opts: pulumi.ResourceOptions
    ) -> None:
        made = dict.fromkeys(("ca_certificate", "authority_key", "certificate", "key"))
        secret = pulumi.ResourceOptions(additional_secret_outputs=["authority_key", "key"])
        super().__init__(
            Issuer(),
            name,
            {"stack": stack, "hosts": list(hosts), **made},
            pulumi.ResourceOptions.merge(opts, secret),
        )


class CaWriter(OwnProvider):
    """A file of this machine with public certificates."""

    def create(self, props: dict[str, Any]) -> dynamic.CreateResult:
        """Write it."""
        return dynamic.CreateResult(id_=Path(props["path"]).stem, outs=_written(props))

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.DiffResult:
        """Tell whether it is not as it should be, or is on another machine."""
        try:
            content = Path(news["path"]).read_text()
        except OSError:
            content = None
        # In a preview, that of a certificate which is about to be made is not there.
        wanted = news.get("content")
        changed = any(olds.get(key) != news.get(key) for key in ("path", "content"))
        return dynamic.DiffResult(changes=content != wanted or changed)

    def update(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> dynamic.UpdateResult:
        """Write it anew."""
        if olds["path"] != news["path"]:
            _remove(olds["path"])
        return dynamic.UpdateResult(outs=_written(news))

    def delete(self, _id: str, props: dict[str, Any]) -> None:
        """Remove it."""
        _remove(props["path"])


def _written(props: dict[str, Any]) -> dict[str, Any]:
    path = Path(props["path"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(props["content"])
    return {"path": props["path"], "content": props["content"]}


def _remove(path: str) -> None:
    Path(path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # there are those of other stacks
        Path(path).parent.rmdir()


class CaFile(dynamic.Resource):
    """The file that clients verify a stack of its own authority by."""

    path: pulumi.Output[str | None]

    def __init__(
        self, name: str, path: str, content: pulumi.Input[str], opts: pulumi.ResourceOptions
    ) -> None:
        super().__init__(CaWriter(), name, {"path": path, "content": content}, opts)
