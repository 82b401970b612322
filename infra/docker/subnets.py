"""Subnets of the zones' networks: free ones, unless the stack file names them."""

import socket
import sys
import zlib
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_network
from itertools import chain
from pathlib import Path

import docker
import psutil

from infra.image.engine import shares_kernel
from infra.specification.error import SpecError

SUBNETS = tuple(map(IPv4Network, ("10.89.0.0/16", "172.30.0.0/16", "192.168.192.0/18")))
"""Where the subnets of zones are taken from: from the first, unless routes of a VPN cover it."""

_ROUTES = Path("/proc/net/route")

_DEFAULT_ROUTE_BITS = 1
"""Longest prefix of what stands for a default route: a VPN may write it as two halves."""


def subnets(
    client: docker.DockerClient, networks: Sequence[str], fixed: Sequence[IPv4Network]
) -> list[IPv4Network]:
    """Return the subnet of each of `networks`: the fixed one, its present one, or a free one.

    Replicas have fixed addresses, which Docker allows only in a subnet that was asked for.
    """
    if fixed:
        return list(fixed)
    taken: dict[str, list[IPv4Network]] = {}
    for network in client.networks.list():
        for pool in network.attrs["IPAM"]["Config"] or ():
            subnet = ip_network(pool.get("Subnet", "::/128"), strict=False)
            if isinstance(subnet, IPv4Network):
                taken.setdefault(str(network.name), []).append(subnet)
    # Stacks that are deployed at the same moment do not see each other yet: each looks from a
    # place of its own.
    start = zlib.crc32(networks[0].encode())
    routes = _routes() if shares_kernel(client) else []
    free = _free_subnets(list(chain.from_iterable(taken.values())), routes, start)
    return [taken[name][0] if name in taken else next(free) for name in networks]


def _free_subnets(
    taken: Sequence[IPv4Network], routes: Sequence[IPv4Network], start: int
) -> Iterator[IPv4Network]:
    here = [
        IPv4Network(f"{address.address}/{address.netmask}", strict=False)
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and address.netmask
    ]
    for block in SUBNETS:
        every = list(block.subnets(new_prefix=24))
        first = start % len(every)
        for subnet in every[first:] + every[:first]:
            if not any(subnet.overlaps(other) for other in [*taken, *here, *routes]):
                yield subnet
    covering = sorted({str(route) for route in routes if any(map(route.overlaps, SUBNETS))})
    raise SpecError(
        f"subnets: none is free in {', '.join(map(str, SUBNETS))}"
        + (f", as this machine has routes to {', '.join(covering)}" if covering else "")
        + "; give one for each zone"
    )


def _routes() -> list[IPv4Network]:
    """Return where this machine's routes lead, but for the default ones.

    A network of Docker's in such a place would take its addresses away from all of the machine.
    """
    if not _ROUTES.exists():
        return []
    routes = []
    for line in _ROUTES.read_text().splitlines()[1:]:
        fields = line.split()
        # Numbers as the processor has them in memory.
        to, mask = (int(fields[n], 16).to_bytes(4, sys.byteorder) for n in (1, 7))
        network = IPv4Network((to, str(IPv4Address(mask))))
        if network.prefixlen > _DEFAULT_ROUTE_BITS:
            routes.append(network)
    return routes
