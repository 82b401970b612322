"""One way to run a container: no privileges, a read-only root, bounded logs, our labels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pulumi
import pulumi_docker as docker

from infra.components.secret_files import SECRETS_FOLDER
from infra.docker.files import LABEL_FILES, place_files
from infra.docker.identity import Identity


@dataclass(frozen=True)
class Attachment:
    """A container's place in a network; without an address Docker gives one."""

    network: pulumi.Input[str]
    aliases: Sequence[str] = ()
    address: IPv4Address | None = None


@dataclass(frozen=True)
class Privileges:
    """What a container may do beyond the least; the default is nothing."""

    user: str | None = None
    """`uid:gid`; None: the image's own."""
    capabilities: Sequence[str] = ()
    devices: Sequence[str] = ()
    security_opts: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class ContainerSpec:
    """What differs between containers; sizes in bytes, times in seconds."""

    image: pulumi.Input[str]
    command: Sequence[pulumi.Input[str]]
    environment: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    networks: Sequence[Attachment]
    folders: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Path in the container to the name of the volume that is mounted there."""
    secrets: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """File name in `SECRETS_FOLDER` to content, see `infra.docker.files`."""
    settings: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Path of a configuration file to content, see `infra.docker.files`."""
    labels: Mapping[str, pulumi.Input[str]] = field(default_factory=dict)
    """Labels beside those of the stack."""
    scratch: Sequence[str] = ("/tmp",)
    """Paths in memory that may be written to."""
    privileges: Privileges = Privileges()
    memory: int | None = None
    shared_memory: int | None = None
    """Size of /dev/shm; without one Docker's own, 64 MiB."""
    ports: Sequence[docker.ContainerPortArgs] = ()
    ready_command: Sequence[str] = ()
    """Health check; with one, the resource exists only once it has passed. Empty: a job."""
    start_timeout: int = 180
    stop_timeout: int = 30


def run_container(
    identity: Identity, component: str, spec: ContainerSpec, parent: pulumi.Resource
) -> docker.Container:
    """Declare the container of `component` and, where it has files, what brings them."""
    files = {f"{SECRETS_FOLDER}/{name}": content for name, content in spec.secrets.items()}
    files.update(spec.settings)
    placed = place_files(identity, component, spec.image, files, parent) if files else None
    service = bool(spec.ready_command)
    return docker.Container(
        identity.logical(component),
        name=identity.name(component),
        hostname=component,
        image=spec.image,
        command=list(spec.command),
        envs=[
            pulumi.Output.concat(key, "=", value) for key, value in sorted(spec.environment.items())
        ],
        init=True,
        read_only=True,
        tmpfs=dict.fromkeys(spec.scratch, "rw,nosuid,nodev,mode=1777"),
        user=spec.privileges.user,
        capabilities=docker.ContainerCapabilitiesArgs(
            drops=["ALL"],
            # The whole name, as Docker's clients read it back.
            adds=[f"CAP_{name}" for name in spec.privileges.capabilities] or None,
        ),
        security_opts=["no-new-privileges:true", *spec.privileges.security_opts],
        devices=[docker.ContainerDeviceArgs(host_path=device) for device in spec.privileges.devices]
        or None,
        networks_advanced=[
            docker.ContainerNetworksAdvancedArgs(
                name=place.network,
                aliases=list(place.aliases),
                ipv4_address=str(place.address) if place.address else None,
            )
            for place in spec.networks
        ],
        ports=list(spec.ports) or None,
        volumes=[
            *(
                docker.ContainerVolumeArgs(container_path=path, volume_name=name)
                for path, name in sorted(spec.folders.items())
            ),
            *(placed.mounts if placed else ()),
        ],
        memory=spec.memory // 2**20 if spec.memory else None,
        shm_size=spec.shared_memory // 2**20 if spec.shared_memory else None,
        log_driver="json-file",
        log_opts={"max-size": "20m", "max-file": "3"},
        labels=identity.labels(
            docker.ContainerLabelArgs,
            component,
            {**({LABEL_FILES: placed.revision} if placed else {}), **spec.labels},
        ),
        healthcheck=docker.ContainerHealthcheckArgs(
            tests=["CMD", *spec.ready_command],
            interval="2s",
            # Above the 5 s after which the commands themselves give up.
            timeout="8s",
            retries=5,
            start_period=duration(spec.start_timeout),
        )
        if service
        else None,
        wait=service,
        wait_timeout=spec.start_timeout,
        restart="unless-stopped" if service else "no",
        must_run=service,
        attach=not service,
        logs=not service,
        stop_timeout=spec.stop_timeout,
        destroy_grace_seconds=spec.stop_timeout,
        opts=pulumi.ResourceOptions(
            parent=parent,
            delete_before_replace=True,
            # The plugin calls a change of the first three an update, and leaves the container as
            # it was; and it would give a new memory limit the swap of the former one.
            replace_on_changes=["healthcheck", "init", "tmpfs", "memory"],
            # The engine sets it: twice the memory, or none if its kernel has no swap limit.
            ignore_changes=["memorySwap"],
        ),
    )


def duration(seconds: int) -> str:
    """Return a time as Docker reads it back, `3m0s` for 180; another form would always differ."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
