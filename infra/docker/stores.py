"""What servers need of a stack's database and artifact store, its own ones or external ones."""

from dataclasses import dataclass, replace

import pulumi

from infra.components.server import ArtifactFolder
from infra.docker.artifact_mount import FOLDER, ArtifactMount, FuseMount, kernel_volume
from infra.docker.identity import Identity
from infra.docker.nfs import EXPORT, NfsServer
from infra.docker.nfs_client import Mounting
from infra.docker.volume import volume
from infra.outputs import ArtifactStore
from infra.specification.external import (
    ExternalNfs,
    NfsVersion,
)
from infra.stores import UsedArtifacts

ARTIFACTS_FOLDER = ArtifactFolder(FOLDER)


@dataclass(frozen=True)
class MountedArtifacts(UsedArtifacts):
    """Artifacts in a folder, and where it comes from."""

    mount: ArtifactMount


def external_nfs(
    export: ExternalNfs, mounting: Mounting, identity: Identity, parent: pulumi.Resource
) -> MountedArtifacts:
    """Return how servers use an NFS export outside the stack."""
    destination = replace(ARTIFACTS_FOLDER, service=f"nfs://{export.server}{export.path}")
    mount: ArtifactMount = FuseMount(export.server, export.path, mounting.apparmor)
    if mounting.kernel:
        mount = kernel_volume(
            identity,
            "artifacts",
            export.server,
            export.path,
            export.version,
            export.options,
            parent,
        ).name
    audit = ArtifactStore(uri=destination.uri)
    return MountedArtifacts(destination, {}, export.server, pulumi.Output.from_input(audit), mount)


def own_volume(identity: Identity, parent: pulumi.Resource) -> MountedArtifacts:
    """Declare the volume that a stack's only replica has its artifacts on."""
    name = volume(identity, "artifacts", parent, holds_data=True).name
    audit = name.apply(lambda known: ArtifactStore(uri=ARTIFACTS_FOLDER.uri, volume=known))
    return MountedArtifacts(ARTIFACTS_FOLDER, {}, name, audit, name)


def own_nfs(server: NfsServer, mounting: Mounting, identity: Identity) -> MountedArtifacts:
    """Return how servers use the stack's own NFS export."""
    destination = replace(ARTIFACTS_FOLDER, service=f"nfs://nfs{EXPORT}")
    mount: ArtifactMount = FuseMount("nfs", EXPORT, mounting.apparmor)
    if mounting.kernel:
        mount = kernel_volume(
            identity,
            "artifacts",
            # After the server: the volume is mounted with the first container.
            server.container.apply(lambda _: str(server.address)),
            EXPORT,
            NfsVersion.V4_2,
            None,
            server,
        ).name
    audit = server.volume.apply(lambda name: ArtifactStore(uri=destination.uri, volume=name))
    return MountedArtifacts(destination, {}, server.container, audit, mount)
