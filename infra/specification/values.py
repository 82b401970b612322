"""Types of single values of a stack file."""

import re
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Address
from pathlib import Path
from typing import Annotated

from huey import crontab  # type: ignore[import-untyped]
from pydantic import AfterValidator, BeforeValidator

from infra import releases

REGISTRY_EXAMPLE = "registry.example.com/mlflow-bench"

_MEMORY_UNITS = {"m": 2**20, "g": 2**30}
_AGE = re.compile(r"[1-9]\d{0,5}[mhd]", re.ASCII)
_IMAGE = re.compile(r"[a-z0-9][\w./:-]*(:[\w][\w.-]*|@sha256:[0-9a-f]{64})", re.ASCII)
_REGISTRY = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9.-]*(:\d{1,5})?(/[a-z0-9]+([._-]+[a-z0-9]+)*)*", re.ASCII
)
HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)


class NfsClient(StrEnum):
    """What mounts an NFS artifact store."""

    AUTO = "auto"
    KERNEL = "kernel"
    FUSE = "fuse"


class S3Engine(StrEnum):
    """What serves the S3 artifact store."""

    MINIO = "minio"
    SEAWEEDFS = "seaweedfs"

    @property
    def data_component(self) -> str:
        """What its data is named after: no engine reads the data of another."""
        return "object-store" if self is S3Engine.MINIO else f"object-store-{self}"


class Data(StrEnum):
    """What people put into a stack."""

    DATABASE = "database"
    ARTIFACTS = "artifacts"


def _age(value: str) -> str:
    if not _AGE.fullmatch(value):
        raise ValueError("is not a number of minutes, hours or days, as 90m, 12h or 30d")
    return value


def age_minutes(value: str) -> int:
    """Return the minutes of an age."""
    return int(value[:-1]) * {"m": 1, "h": 60, "d": 24 * 60}[value[-1]]


def _schedule(value: str) -> str:
    names = ("minute", "hour", "day", "month", "day_of_week")
    try:
        crontab(strict=True, **dict(zip(names, value.split(), strict=True)))
    except ValueError:
        raise ValueError("is not a schedule of cron, of five fields") from None
    return value


def _memory(value: object) -> object:
    match = re.fullmatch(r"(\d+)([mg])", str(value).strip().lower())
    if not match:
        raise ValueError("is not an amount of memory")
    return int(match[1]) * _MEMORY_UNITS[match[2]]


def _image(value: str) -> str:
    if not _IMAGE.fullmatch(value):
        raise ValueError("is not an image reference with a tag or digest")
    if value.endswith(":latest"):
        raise ValueError("names no version: `latest` changes under a running stack")
    return value


def is_registry(value: str) -> bool:
    """Tell whether a text is the name of a registry, with or without a path in it."""
    return _REGISTRY.fullmatch(value) is not None


def _mlflow(value: str | Path) -> str | Path:
    return releases.checked(value) if isinstance(value, str) else value


def _registry(value: str) -> str:
    if not is_registry(value):
        raise ValueError("is not a registry and a path in it, without https:// and without a tag")
    return value


def _host(value: str) -> str:
    if not HOST_NAME.fullmatch(value) and not _is_bracketed(value):
        raise ValueError(f"has {value!r}, which is not a bare host name or address")
    return value.lower()


def _is_bracketed(value: str) -> bool:
    """Tell whether a value is an IPv6 address as it stands in a URL."""
    try:
        return value == f"[{IPv6Address(value[1:-1])}]"
    except ValueError:
        return False


def _subnet(value: IPv4Network) -> IPv4Network:
    if not value.is_private or value.is_loopback or value.is_link_local:
        raise ValueError("is not a private network")
    if not 16 <= value.prefixlen <= 27:
        raise ValueError("has a prefix outside /16 to /27")
    return value


Memory = Annotated[int, BeforeValidator(_memory)]
Age = Annotated[str, AfterValidator(_age)]
Schedule = Annotated[str, AfterValidator(_schedule)]
Image = Annotated[str, AfterValidator(_image)]
Mlflow = Annotated[str | Path, AfterValidator(_mlflow)]
"""A text is a release, a path an own wheel or source folder."""

Registry = Annotated[str, AfterValidator(_registry)]
Host = Annotated[str, AfterValidator(_host)]
Subnet = Annotated[IPv4Network, AfterValidator(_subnet)]
