"""Services that a stack uses but does not own, as a stack file describes them.

A bare word (`artifacts: s3`) is a store that the stack brings and removes itself; an object
(`artifacts: {kind: s3, bucket: …}`) is somebody else's, which no stack creates or removes.
Secrets are `SecretStr`: neither a representation nor an error line shows them.
"""

import re
from enum import StrEnum
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

# Amazon's rules: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
from infra.specification.values import HOST_NAME

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", re.ASCII)
# The characters that Amazon calls safe in keys, without those that shells and URIs change.
_PREFIX = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*", re.ASCII)
_EXPORT = re.compile(r"(/[A-Za-z0-9_.@-]+)+", re.ASCII)
# Words of mount(8), as `nconnect=4,sec=sys`; what decides whether data is safe is not a choice.
_OPTIONS = re.compile(r"[a-z]+(=[A-Za-z0-9.:-]+)?(,[a-z]+(=[A-Za-z0-9.:-]+)?)*", re.ASCII)
_FIXED_OPTIONS = {"addr", "hard", "soft", "softerr", "vers", "nfsvers", "ro"}
_REGION = re.compile(r"[a-z0-9-]+", re.ASCII)


DEFAULT_REGION = "us-east-1"
"""Region of a bucket on an endpoint that has none."""


class StoreKind(StrEnum):
    """Where the artifacts are kept."""

    VOLUME = "volume"
    S3 = "s3"
    NFS = "nfs"


class NfsVersion(StrEnum):
    """Version of the NFS protocol."""

    V3 = "3"
    V4_0 = "4.0"
    V4_1 = "4.1"
    V4_2 = "4.2"


def _bucket(value: str) -> str:
    if not _BUCKET.fullmatch(value) or ".." in value or _is_address(value):
        raise ValueError(
            "is not a bucket's name: 3 to 63 lower-case letters, digits, dots and hyphens"
        )
    return value


def _is_address(value: str) -> bool:
    try:
        ip_address(value)
    except ValueError:
        return False
    return True


def _endpoint(value: str) -> str:
    problem = "is not http[s]://host[:port]"
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(problem) from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError(problem)
    if parts.username is not None or parts.password is not None:
        raise ValueError("carries a user: keys belong to access_key and secret_key")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError(f"{problem}: a path, query or fragment does not belong to an endpoint")
    return f"{parts.scheme}://{parts.netloc}"


def _prefix(value: str) -> str:
    if not _PREFIX.fullmatch(value) or {".", ".."} & set(value.split("/")):
        raise ValueError("is not a folder: names of letters, digits, `_`, `.` and `-`, with `/`")
    return value


def _region(value: str) -> str:
    if not _REGION.fullmatch(value):
        raise ValueError("is not the name of a region")
    return value


def _one_line(value: SecretStr) -> SecretStr:
    text = value.get_secret_value()
    if not text or any(character.isspace() for character in text):
        raise ValueError("is empty or has white space in it")
    return value


Secret = Annotated[SecretStr, AfterValidator(_one_line)]


class ExternalS3(BaseModel):
    """A bucket on any S3 endpoint, or on AWS S3."""

    # `pulumi config set --path` writes digits alone as a number.
    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    kind: Literal[StoreKind.S3] = Field(description="`s3`: a bucket.", examples=["s3"])
    bucket: Annotated[str, AfterValidator(_bucket)] = Field(
        description="Name of the bucket; it has to exist.", examples=["mlflow-artifacts"]
    )
    endpoint: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        default=None,
        description="Address of the service, as servers in containers reach it; none: AWS S3.",
        examples=["https://s3.example.com"],
    )
    region: Annotated[str, AfterValidator(_region)] | None = Field(
        default=None,
        description="Region of the bucket; needed on AWS, else us-east-1 by default.",
        examples=["eu-central-1"],
    )
    access_key: str | None = Field(
        default=None,
        min_length=1,
        pattern=r"^\S+$",
        description="Access key; without keys, the role of the machine is used, or on Kubernetes "
        "that of `kubernetes.service_account`.",
        examples=["AKIA"],
    )
    secret_key: Secret | None = Field(default=None, description="Secret key of `access_key`.")
    session_token: Secret | None = Field(
        default=None, description="Session token, with temporary keys only."
    )
    prefix: Annotated[str, AfterValidator(_prefix)] | None = Field(
        default=None,
        description="Folder of the bucket that the artifacts are kept in; none: all of it.",
        examples=["team/mlflow"],
    )

    ca: Path | None = Field(
        default=None,
        description="File with the certificates of the authority that signed the endpoint's; "
        "none: the usual ones.",
        examples=["ca.pem"],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.access_key is None) != (self.secret_key is None):
            missing = "access_key" if self.access_key is None else "secret_key"
            raise ValueError(
                f"{missing}: is missing beside the other key; set both, or neither where the "
                "machine has a role"
            )
        if self.session_token is not None and self.secret_key is None:
            raise ValueError("session_token: belongs to keys, and there are none; set them too")
        if self.endpoint is None and self.region is None:
            raise ValueError("region: is missing; AWS S3 needs one, any other S3 an endpoint")
        if self.ca is not None and not (self.endpoint or "").startswith("https://"):
            raise ValueError("ca: is of no use without an endpoint that starts with https://")
        return self


class SslMode(StrEnum):
    """How a connection to PostgreSQL is protected; the words are libpq's.

    https://www.postgresql.org/docs/17/libpq-ssl.html#LIBPQ-SSL-PROTECTION
    """

    DISABLE = "disable"
    PREFER = "prefer"
    REQUIRE = "require"
    VERIFY_CA = "verify-ca"
    VERIFY_FULL = "verify-full"


def _database_url(value: SecretStr) -> SecretStr:
    problem = (
        "is not postgresql://user:password@host:port/name; characters of a password that have a "
        "meaning in a URL are written as %40 for @ and so on"
    )
    try:
        parts = urlsplit(value.get_secret_value())
        port = parts.port
    except ValueError:
        raise ValueError(problem) from None
    name = unquote(parts.path.removeprefix("/"))
    words = [unquote(parts.username or ""), unquote(parts.password or ""), name]
    if parts.scheme not in ("postgresql", "postgres") or not parts.hostname or port == 0:
        raise ValueError(problem)
    if not all(words) or "/" in name or any(not word.isprintable() for word in words):
        raise ValueError(problem)
    if parts.query or parts.fragment:
        raise ValueError("has settings after the name; set database.ssl_mode and database.ca")
    return value


class ExternalDatabase(BaseModel):
    """A PostgreSQL database that exists already and is MLflow's own, or empty."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: Annotated[SecretStr, AfterValidator(_database_url)] = Field(
        description="Address with user and password: postgresql://user:password@host:port/name."
    )
    ssl_mode: SslMode = Field(
        default=SslMode.REQUIRE,
        description="How connections are protected, in libpq's words.",
        examples=["verify-full"],
    )
    ca: Path | None = Field(
        default=None,
        description="File with the certificates that verify-ca and verify-full trust.",
        examples=["ca.pem"],
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        verifies = self.ssl_mode in (SslMode.VERIFY_CA, SslMode.VERIFY_FULL)
        if verifies and self.ca is None:
            raise ValueError(f"ca: is missing; ssl_mode {self.ssl_mode} needs what to trust")
        if self.ca is not None and not verifies:
            raise ValueError("ca: needs ssl_mode verify-ca or verify-full; set that, or remove it")
        return self

    @property
    def host(self) -> str:
        """Name or address of the server."""
        return self._parts.hostname or ""

    @property
    def port(self) -> int:
        """TCP port of the server."""
        return self._parts.port or 5432

    @property
    def name(self) -> str:
        """Name of the database."""
        return unquote(self._parts.path.removeprefix("/"))

    @property
    def user(self) -> str:
        """Role that the servers use."""
        return unquote(self._parts.username or "")

    @property
    def password(self) -> str:
        """Password of the role; a secret."""
        return unquote(self._parts.password or "")

    @property
    def _parts(self) -> SplitResult:
        return urlsplit(self.url.get_secret_value())


def _server(value: str) -> str:
    if not HOST_NAME.fullmatch(value):
        raise ValueError("is not a bare host name or IPv4 address")
    return value


def _export(value: str) -> str:
    if not _EXPORT.fullmatch(value) or {".", ".."} & set(value.split("/")):
        raise ValueError("is not the absolute path of an export")
    return value


def _options(value: str) -> str:
    if not _OPTIONS.fullmatch(value):
        raise ValueError("is not a list of mount options")
    fixed = _FIXED_OPTIONS & {option.partition("=")[0] for option in value.split(",")}
    if fixed:
        raise ValueError(f"has {', '.join(sorted(fixed))}, which the deployment sets itself")
    return value


class ExternalNfs(BaseModel):
    """An export of any NFS server; uid 10001 has to be able to write there."""

    model_config = ConfigDict(extra="forbid", frozen=True, coerce_numbers_to_str=True)

    kind: Literal[StoreKind.NFS] = Field(description="`nfs`: an export.", examples=["nfs"])
    server: Annotated[str, AfterValidator(_server)] = Field(
        description="Name or IPv4 address of the server, as the engine's machine reaches it.",
        examples=["nfs.example.com"],
    )
    path: Annotated[str, AfterValidator(_export)] = Field(
        description="Path of the export.", examples=["/exports/mlflow"]
    )
    # `pulumi config set --path` writes a number.
    version: Annotated[NfsVersion, BeforeValidator(str)] = Field(
        default=NfsVersion.V4_1,
        description="Version of the protocol; the FUSE client speaks 4.1 only.",
        examples=["4.1"],
    )
    options: Annotated[str, AfterValidator(_options)] | None = Field(
        default=None,
        description="Further mount options for the kernel's client.",
        examples=["nconnect=4"],
    )
