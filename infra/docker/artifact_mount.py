"""Where the folder of the artifacts comes from in a container of the mlflow image."""

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import pulumi
import pulumi_docker as docker

from infra.docker.container import ContainerSpec, Privileges
from infra.docker.identity import Identity
from infra.docker.volume import volume
from infra.specification.external import NfsVersion

FOLDER = PurePosixPath("/var/lib/mlflow/artifacts")
"""Where the image has the artifacts, and mounts an export."""

FUSE_CAPABILITIES = ("KILL", "SETGID", "SETUID", "SYS_ADMIN")
"""What `nfs-mount` needs to mount, and to start the server without any of them."""

# `hard`: a write waits for the server, however long, and is not given up. No attribute and no name
# is cached, so that every replica sees an artifact as soon as it is stored. `close` and `fsync`
# flush data and report errors, and MLflow closes a file before it names it: `sync`, which would
# write every piece on its own, is not needed.
_KERNEL_OPTIONS = (
    "proto=tcp,hard,timeo=600,retrans=2,lookupcache=none,actimeo=0,nosuid,nodev,noexec"
)


@dataclass(frozen=True)
class FuseMount:
    """An NFS export that a container mounts itself."""

    server: str
    path: str
    apparmor: bool
    """Whether the engine confines containers by AppArmor."""


ArtifactMount = pulumi.Input[str] | FuseMount
"""A volume's name, or an export to mount."""


def with_artifacts(spec: ContainerSpec, mount: ArtifactMount | None) -> ContainerSpec:
    """Return `spec` with the artifacts at `FOLDER`; None: they are not in a folder."""
    if mount is None:
        return spec
    if not isinstance(mount, FuseMount):
        return replace(spec, folders={**spec.folders, str(FOLDER): mount})
    return replace(
        spec,
        environment={**spec.environment, "NFS_SERVER": mount.server, "NFS_EXPORT": mount.path},
        privileges=Privileges(
            user="0:0",
            capabilities=FUSE_CAPABILITIES,
            devices=["/dev/fuse"],
            # AppArmor's profile for containers forbids every mount.
            security_opts=["apparmor=unconfined"] if mount.apparmor else [],
        ),
    )


def kernel_volume(
    identity: Identity,
    component: str,
    address: pulumi.Input[str],
    path: str,
    version: NfsVersion,
    options: str | None,
    parent: pulumi.Resource,
) -> docker.Volume:
    """Declare a volume that the engine's kernel mounts from an NFS server.

    `address` is a name that the engine's machine resolves, or an IPv4 address.
    """
    return volume(
        identity,
        component,
        parent,
        driver_options={
            "type": "nfs",
            "device": f":{path}",
            "o": pulumi.Output.concat(
                "addr=",
                address,
                f",nfsvers={version},{_KERNEL_OPTIONS}",
                # Version 3 locks by a service that the machine may not run; MLflow locks nothing.
                ",nolock" if version is NfsVersion.V3 else "",
                f",{options}" if options else "",
            ),
        },
    )
