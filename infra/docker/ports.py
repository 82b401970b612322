"""Ports of this machine that lead to a stack's containers, for clients and for checks."""

import socket
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import docker
import pulumi_docker

from infra.components import nginx, object_store, postgres
from infra.components.names import LOAD_BALANCER, OBJECT_STORE, POSTGRES
from infra.components.server import LOCAL_HOSTS
from infra.components.server import PORT as SERVER_PORT
from infra.docker.identity import Identity
from infra.docker.zone import zone_names
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.external import StoreKind

AUDIT_PORTS = range(15000, 16000)
"""Where those for checks are taken from: below the ports that systems use for outgoing
connections."""

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Ports:
    """Ports of one deployment."""

    spec: DeploymentSpec
    audit: Mapping[str, int]
    """Port on loopback by which checks reach a component, past the load balancer."""

    @classmethod
    def choose(cls, client: docker.DockerClient, stack: str, spec: DeploymentSpec) -> Self:
        """Choose the ports for checks; raise `SpecError` when none is free."""
        inside = audited(spec)
        names = {Identity.physical_name(stack, component): component for component in inside}
        chosen = audit_ports(client, {name: inside[names[name]] for name in names})
        return cls(spec, {names[name]: port for name, port in chosen.items()})

    def open_to_clients(self, internal: int, external: int) -> pulumi_docker.ContainerPortArgs:
        """Return a container's port as it is opened where the stack file says."""
        return pulumi_docker.ContainerPortArgs(
            internal=internal, external=external, ip=str(self.spec.bind)
        )

    def open_to_checks(self, component: str, internal: int) -> pulumi_docker.ContainerPortArgs:
        """Return a component's port as it is opened on loopback."""
        return pulumi_docker.ContainerPortArgs(
            internal=internal, external=self.audit[component], ip=LOOPBACK
        )

    def of_object_store(self) -> Sequence[pulumi_docker.ContainerPortArgs]:
        """Return the opened ports of the stack's own S3."""
        # One alone: the plugin reads two openings of one port back in any order.
        if self.spec.opens_s3:
            return [self.open_to_clients(object_store.PORT, self.spec.s3_port)]
        return [self.open_to_checks(OBJECT_STORE, object_store.PORT)]

    def address(self, component: str) -> str | None:
        """Return `host:port` by which checks on this machine reach a component, if they do."""
        if component in self.audit:
            return f"{LOOPBACK}:{self.audit[component]}"
        if component == OBJECT_STORE:
            bind = self.spec.bind
            return f"{LOOPBACK if bind.is_unspecified else bind}:{self.spec.s3_port}"
        if component == replica_name(zone_names(1)[0], 1):
            # Alone and in front of itself, so without TLS.
            return self.spec.tracking_uri.removeprefix("http://")
        return None


def audited(spec: DeploymentSpec) -> dict[str, int]:
    """Return the components with a port of their own for checks, and the port inside.

    A replica that is alone is reached by the stack's own port, S3 that is open to clients by
    theirs.
    """
    ports = {} if spec.database else {POSTGRES: postgres.PORT}
    if spec.artifacts is StoreKind.S3 and not spec.opens_s3:
        ports[OBJECT_STORE] = object_store.PORT
    if spec.balanced:
        ports[LOAD_BALANCER] = nginx.STATUS_PORT
        for zone in zone_names(spec.zones):
            for number in range(1, spec.replicas + 1):
                ports[replica_name(zone, number)] = SERVER_PORT
    return ports


def replica_name(zone: str, number: int) -> str:
    """Return the component name of a replica."""
    return f"mlflow-{zone}-{number}"


def presigned_endpoint(spec: DeploymentSpec) -> str | None:
    """Return the address by which clients reach the stack's own S3, if they are to."""
    if not spec.opens_s3:
        return None
    # Where others than this machine's clients are let in, they come by an allowed name.
    others = [host for host in spec.allowed_hosts if host not in LOCAL_HOSTS]
    host = spec.bind if spec.bind.is_loopback else others[0]
    return f"http://{host}:{spec.s3_port}"


def audit_ports(client: docker.DockerClient, containers: Mapping[str, int]) -> dict[str, int]:
    """Return a port of this machine for each of `containers`, given with the port inside.

    A container that exists keeps its port, so that a deployment stays as it is; the others get
    free ones.
    """
    present: dict[str, int] = {}
    taken: set[int] = set()
    for container in client.containers.list(all=True, ignore_removed=True):
        for inside, bindings in (container.attrs["HostConfig"]["PortBindings"] or {}).items():
            for binding in bindings or ():
                if not binding["HostPort"]:
                    continue
                port = int(binding["HostPort"])
                taken.add(port)
                internal = containers.get(str(container.name))
                if inside == f"{internal}/tcp" and port in AUDIT_PORTS:
                    present[str(container.name)] = port
    # As for subnets, from a place of the stack's own.
    free = _free(taken, zlib.crc32("".join(containers).encode()) % len(AUDIT_PORTS))
    return {name: present[name] if name in present else next(free) for name in containers}


def _free(taken: set[int], start: int) -> Iterator[int]:
    for port in (*AUDIT_PORTS[start:], *AUDIT_PORTS[:start]):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        yield port
    raise SpecError(
        f"ports {AUDIT_PORTS.start} to {AUDIT_PORTS.stop - 1} are all taken; stop what uses them"
    )
