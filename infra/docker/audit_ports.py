"""Loopback ports by which checks reach each component past the load balancer."""

import socket
import zlib
from collections.abc import Iterator, Mapping

import docker
import pulumi_docker

from infra.spec import SpecError

PORTS = range(15000, 16000)
"""Where they are taken from: below the ports that systems use for outgoing connections."""

LOOPBACK = "127.0.0.1"


def audit_ports(client: docker.DockerClient, containers: Mapping[str, int]) -> dict[str, int]:
    """Return a port of this machine for each of `containers`, given with the port inside.

    A container that is there keeps its port, so that a deployment stays as it is; the others
    get free ones.
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
                wanted = containers.get(str(container.name))
                if inside == f"{wanted}/tcp" and port in PORTS:
                    present[str(container.name)] = port
    # As for subnets, from a place of the stack's own.
    free = _free(taken, zlib.crc32("".join(containers).encode()) % len(PORTS))
    return {name: present[name] if name in present else next(free) for name in containers}


def published(internal: int, external: int) -> pulumi_docker.ContainerPortArgs:
    """Return a container's port as it is opened on loopback."""
    return pulumi_docker.ContainerPortArgs(internal=internal, external=external, ip=LOOPBACK)


def _free(taken: set[int], start: int) -> Iterator[int]:
    for port in (*PORTS[start:], *PORTS[:start]):
        if port in taken:
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        yield port
    raise SpecError(f"ports {PORTS.start} to {PORTS.stop - 1} are all taken; stop what uses them")
