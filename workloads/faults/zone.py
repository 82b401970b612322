"""A zone is cut off: its replicas and everything else no longer see each other.

The replicas of the last zone are taken out of its network. Their connections are not closed: at
both ends they stay open and silent, as when a link between zones is lost.
"""

from infra.outputs import Component, Target
from workloads.faults.fault import FaultError, Injection
from workloads.faults.on_container import connect, is_ready


class ZoneCut(Injection):
    """Disconnects the replicas of the last zone; healing gives each its old address back."""

    def __init__(self, target: Target, component: Component | None = None) -> None:
        self.client = connect()
        zone = target.zones[-1]
        self.network = self.client.networks.get(zone.network)
        self.replicas = [
            component
            for component in target.components
            if component.kind == "mlflow" and component.zone == zone.name
        ]

    def inject(self) -> None:
        """Disconnect them."""
        for replica in self.replicas:
            self.network.disconnect(replica.container)

    def in_effect(self) -> bool:
        """Whether none of them is in the network."""
        return not any(self._connected(replica) for replica in self.replicas)

    def heal(self) -> None:
        """Connect those that are not."""
        for replica in self.replicas:
            if self._connected(replica):
                continue
            if replica.address is None:
                raise FaultError(f"the address of {replica.name} is not known: deploy it again")
            self.network.connect(
                replica.container, aliases=[replica.name], ipv4_address=replica.address
            )

    def healed(self) -> bool:
        """Whether all are in the network and ready, which takes the database and the store."""
        containers = [self.client.containers.get(replica.container) for replica in self.replicas]
        return all(map(self._connected, self.replicas)) and all(map(is_ready, containers))

    def left(self) -> bool:
        """Whether a replica is out of its network."""
        return not all(map(self._connected, self.replicas))

    def _connected(self, replica: Component) -> bool:
        container = self.client.containers.get(replica.container)
        return self.network.name in container.attrs["NetworkSettings"]["Networks"]


def several_zones(target: Target) -> str | None:
    """A stack of one zone would be gone altogether."""
    return None if len(target.zones) > 1 else "the stack has one zone"
