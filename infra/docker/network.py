"""A zone's network."""

from ipaddress import IPv4Network

import pulumi
import pulumi_docker as docker

from infra.docker.identity import Identity


class Network(pulumi.ComponentResource):
    """A bridge network of its own for the containers of one zone."""

    network: pulumi.Output[str]
    """Name of the Docker network."""

    def __init__(
        self,
        name: str,
        identity: Identity,
        subnet: IPv4Network | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("mlflow-bench:docker:Network", name, None, opts)
        bridge = docker.Network(
            name,
            name=identity.name(name),
            driver="bridge",
            ipam_configs=[docker.NetworkIpamConfigArgs(subnet=str(subnet))] if subnet else None,
            labels=[
                docker.NetworkLabelArgs(label=label, value=value)
                for label, value in identity.labels(name).items()
            ],
            opts=pulumi.ResourceOptions(parent=self, delete_before_replace=True),
        )
        self.network = bridge.name
        self.register_outputs({"network": self.network})
