"""The artifact store's NFS server."""

from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address

import pulumi

from infra.docker.container import ContainerSpec, Privileges, run_container
from infra.docker.identity import Identity
from infra.docker.volume import volume
from infra.docker.zone import Zone
from infra.image.context import PROJECT

EXPORT = "/artifacts"

SECCOMP_PROFILE = PROJECT / "infra" / "images" / "nfs" / "seccomp.json"

CAPABILITIES = ("DAC_OVERRIDE", "DAC_READ_SEARCH", "SETGID", "SETPCAP", "SETUID")
"""What the image is started with; its entrypoint says what for."""

ADDRESS_NUMBER = 17
"""Number of the server's fixed address in a zone: behind those of the replicas."""


@dataclass(frozen=True, kw_only=True)
class NfsServerArgs:
    """Settings of the NFS server; memory in bytes."""

    identity: Identity
    image: pulumi.Input[str]
    zones: Sequence[Zone]
    memory: int | None
    start_timeout: int


class NfsServer(pulumi.ComponentResource):
    """An NFS server on a volume, which the stack's networks alone can mount."""

    address: IPv4Address
    """Its address in the first zone, for the engine's own kernel."""

    volume: pulumi.Output[str]
    """Name of the volume, whose root is the export."""

    container: pulumi.Output[str]
    """Name of the container, known once the export can be listed."""

    def __init__(
        self, name: str, args: NfsServerArgs, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("mlflow-bench:docker:NfsServer", args.identity.logical(name), None, opts)
        self.address = args.zones[0].address(ADDRESS_NUMBER)
        self.volume = volume(args.identity, f"{name}-data", self, holds_data=True).name
        container = run_container(
            args.identity,
            name,
            ContainerSpec(
                image=args.image,
                command=[],
                environment={"NFS_CLIENTS": ",".join(str(zone.subnet) for zone in args.zones)},
                networks=[zone.attach(name, zone.address(ADDRESS_NUMBER)) for zone in args.zones],
                folders={"/var/lib/nfs-server": self.volume},
                privileges=Privileges(
                    capabilities=CAPABILITIES,
                    security_opts=[f"seccomp={SECCOMP_PROFILE.read_text()}"],
                ),
                memory=args.memory,
                ready_command=["ready"],
                start_timeout=args.start_timeout,
            ),
            self,
        )
        self.container = container.name
        self.register_outputs({"container": self.container})
