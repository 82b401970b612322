"""A zone: a network of its own, as an availability zone's subnet is."""

from ipaddress import IPv4Address, IPv4Network

import pulumi
import pulumi_docker as docker

from infra.docker.container import Attachment
from infra.docker.identity import Identity


def zone_names(count: int) -> tuple[str, ...]:
    """Return the names of `count` zones: `a`, `b` and so on."""
    return tuple("abcdefgh"[:count])


def network_component(zone: str) -> str:
    """Return the component name of a zone's network."""
    return f"network-{zone}"


class Zone(pulumi.ComponentResource):
    """A bridge network for the containers of one zone; Docker lets none into another's."""

    zone: str
    """Name of the zone."""

    subnet: IPv4Network
    """Addresses of its containers."""

    _declared: docker.Network

    network: pulumi.Output[str]
    """Name of the Docker network."""

    def __init__(
        self,
        zone: str,
        identity: Identity,
        subnet: IPv4Network,
        former: "Zone | None" = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Declare the network, after that of `former`.

        Were two networks replaced at once, the engine would remove the containers that are in both
        before one of them, and the other while they are there.
        """
        super().__init__("mlflow-bench:docker:Zone", identity.logical(zone), None, opts)
        name = network_component(zone)
        self.zone = zone
        self.subnet = subnet
        self._declared = docker.Network(
            identity.logical(name),
            name=identity.name(name),
            driver="bridge",
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=str(subnet))],
            labels=identity.labels(docker.NetworkLabelArgs, name),
            opts=pulumi.ResourceOptions(
                parent=self,
                delete_before_replace=True,
                depends_on=[former._declared] if former else None,
            ),
        )
        self.network = self._declared.name
        self.register_outputs({"network": self.network})

    def address(self, number: int) -> IPv4Address:
        """Return the address of the zone's replica `number`, counted from 1.

        They are taken from the end of the subnet: Docker hands out the others from its start.
        """
        return self.subnet[-1 - number]

    def attach(self, alias: str = "", address: IPv4Address | None = None) -> Attachment:
        """Return what puts a container into this zone."""
        return Attachment(self.network, (alias,) if alias else (), address)
