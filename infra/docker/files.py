"""Secrets and settings of a container: files on a volume, in no `docker inspect`.

A server's root is read-only, and the engine takes no file into such a container, not even into a
volume of it. So the files are put into a second container with the same volumes, which is created
and never started. The files are root's and the server is not, so it can read them only.
"""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pulumi
import pulumi_docker as docker

from infra.components.secret_files import SECRETS_FOLDER
from infra.docker.identity import Identity
from infra.docker.volume import volume

LABEL_FILES = "mlflow-bench.files"
"""Names, on a server, the container that its files came with."""


@dataclass(frozen=True)
class PlacedFiles:
    """Files on volumes."""

    mounts: Sequence[docker.ContainerVolumeArgs]
    """What puts them into a container, read-only."""

    revision: pulumi.Output[str]
    """Id of the container that they came with: another one whenever one of them changes."""


def place_files(
    identity: Identity,
    component: str,
    image: pulumi.Input[str],
    files: Mapping[str, pulumi.Input[str]],
    parent: pulumi.Resource,
) -> PlacedFiles:
    """Declare the volumes of `files`, paths and contents, for the container of `component`.

    Any `image` will do; the container's own is present anyway.
    """
    name = f"{component}-files"
    volumes: dict[str, pulumi.Output[str]] = {}
    for folder in sorted({str(PurePosixPath(path).parent) for path in files}):
        purpose = "secrets" if folder == SECRETS_FOLDER else "settings"
        names = [path for path in sorted(files) if str(PurePosixPath(path).parent) == folder]
        # Other files are on another volume, so that no former file stays.
        volume_name = f"{component}-{purpose}-{zlib.crc32(' '.join(names).encode()):08x}"
        volumes[folder] = volume(identity, volume_name, parent).name
    seed = docker.Container(
        identity.logical(name),
        name=identity.name(name),
        image=image,
        # In case somebody starts it.
        entrypoints=["/bin/true"],
        network_mode="none",
        capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"]),
        security_opts=["no-new-privileges:true"],
        volumes=[
            docker.ContainerVolumeArgs(container_path=folder, volume_name=volume_name)
            for folder, volume_name in volumes.items()
        ],
        uploads=[
            docker.ContainerUploadArgs(file=path, content=content, permissions="0444")
            for path, content in sorted(files.items())
        ],
        labels=identity.labels(docker.ContainerLabelArgs, name),
        restart="no",
        start=False,
        must_run=False,
        opts=pulumi.ResourceOptions(parent=parent, delete_before_replace=True),
    )
    mounts = [
        docker.ContainerVolumeArgs(container_path=folder, volume_name=volume_name, read_only=True)
        for folder, volume_name in volumes.items()
    ]
    return PlacedFiles(mounts, seed.id)
