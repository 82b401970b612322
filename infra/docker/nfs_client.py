"""Which NFS client a deployment uses: the engine's kernel, or the FUSE client in the image."""

import os
from dataclasses import dataclass
from pathlib import Path

import docker

from infra.image.engine import shares_kernel
from infra.specification.conflicts import beyond_fuse
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.external import ExternalNfs
from infra.specification.values import NfsClient

_FILE_SYSTEMS = Path("/proc/filesystems")
_MODULES = Path("/lib/modules")
_FUSE = Path("/dev/fuse")


@dataclass(frozen=True)
class Mounting:
    """How exports are mounted."""

    kernel: bool
    apparmor: bool
    """Whether the engine confines containers by AppArmor."""
    reason: str
    """The reason, as it is logged."""


def choose(client: docker.DockerClient, spec: DeploymentSpec) -> Mounting:
    """Return how the exports of `spec` are mounted on the engine of `client`.

    Raises `SpecError` where the chosen client cannot do what is asked for.
    """
    options = " ".join(client.info().get("SecurityOptions") or ())
    shared = shares_kernel(client)
    kernel, reason = _kernel(spec.nfs_client, shared=shared, rootless="rootless" in options)
    if not kernel:
        problems: list[str] = []
        if isinstance(spec.artifacts, ExternalNfs):
            problems += beyond_fuse(spec.artifacts)
        if shared and not _FUSE.exists():
            problems.append(f"nfs_client: this machine has no {_FUSE}; load its module")
        if problems:
            raise SpecError("\n".join(f"{line} ({reason})" for line in problems))
    return Mounting(kernel, "apparmor" in options, reason)


def _kernel(client: NfsClient, *, shared: bool, rootless: bool) -> tuple[bool, str]:
    if client is not NfsClient.AUTO:
        return client is NfsClient.KERNEL, f"NFS is mounted by {client}, as nfs_client says"
    if not shared:
        return False, "NFS is mounted by FUSE: the engine's kernel is not this machine's"
    if rootless:
        return False, "NFS is mounted by FUSE: a rootless engine may not use its kernel's client"
    if _has_client():
        return True, "NFS is mounted by the kernel"
    return False, "NFS is mounted by FUSE: this kernel has no NFS client"


def _has_client() -> bool:
    """Return whether this kernel mounts NFSv4, built in or by a module."""
    if "nfs4" in _FILE_SYSTEMS.read_text().split():
        return True
    modules = _MODULES / os.uname().release
    lists = [modules / name for name in ("modules.dep", "modules.builtin")]
    return any("/nfsv4.ko" in file.read_text() for file in lists if file.is_file())
