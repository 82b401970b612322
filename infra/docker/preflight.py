"""Looks at the machine before anything is created, and says what stands in the way."""

import errno
import socket
import sys
import zlib
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_network
from pathlib import Path

import docker
import psutil
import requests
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from infra.docker.engine import check_is_near, shares_kernel
from infra.docker.identity import LABEL_STACK
from infra.postgres import PostgresMemory, memory_settings, share
from infra.spec import SpecError

LABEL_RETRY = "mlflow-bench.retry-of"

SUBNETS = tuple(map(IPv4Network, ("10.89.0.0/16", "172.30.0.0/16", "192.168.192.0/18")))
"""Where the subnets of zones are taken from: from the first, unless routes of a VPN cover it."""

_AIRPLAY_PORTS = (5000, 7000)

_ROUTES = Path("/proc/net/route")

_DEFAULT_ROUTE_BITS = 1
"""Longest prefix of what stands for a default route: a VPN may write it as two halves."""


def check_port(
    client: docker.DockerClient, stack: str, bind: IPv4Address, port: int, key: str = "port"
) -> None:
    """Raise `SpecError` naming who holds `port`, unless it is free or the stack's own.

    `key` is where the stack file says it.
    """
    holder = _container_on(client, port)
    if holder is not None:
        if holder.labels.get(LABEL_STACK) == stack:
            return
        owner = holder.labels.get(LABEL_STACK)
        raise SpecError(
            f"{key}: {port}: taken by the container {holder.name}"
            + (f" of stack {owner}; pulumi destroy -s {owner}" if owner else "; stop it")
            + f", or choose another: pulumi config set {key} {port + 1}"
        )
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(bind), port))
        except OSError as error:
            raise SpecError(port_problem(error, bind, port, key)) from None
    if key == "port":
        _check_localhost(bind, port)


def _check_localhost(bind: IPv4Address, port: int) -> None:
    """Refuse a port that somebody else has at the address which `localhost` leads to first.

    Clients are told `localhost`, which on most machines is `::1` before it is `127.0.0.1`; and a
    socket of all addresses, as macOS' AirPlay Receiver has it, does not keep others from one.
    """
    if not (bind.is_loopback or bind.is_unspecified):
        return
    try:
        found = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
    except OSError:
        return
    for family, kind, _, _, address in found:
        if family != socket.AF_INET6:
            return  # This one is for us.
        with socket.socket(family, kind) as probe:
            probe.settimeout(1)
            if probe.connect_ex(address) == 0:
                raise SpecError(
                    f"port: {port}: localhost leads to [{address[0]}] first, where it is taken by "
                    f"{_process_on(port, str(address[0]))}; end it, or choose another: "
                    f"pulumi config set port {port + 1}"
                )


def subnets(
    client: docker.DockerClient, networks: Sequence[str], given: Sequence[IPv4Network]
) -> list[IPv4Network]:
    """Return the subnet of each of `networks`: the given one, its present one, or a free one.

    Replicas have fixed addresses, which Docker allows only in a subnet that was asked for.
    """
    if given:
        return list(given)
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
    free = iter(_free_subnets([one for some in taken.values() for one in some], routes, start))
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
    found = []
    for line in _ROUTES.read_text().splitlines()[1:]:
        fields = line.split()
        # Numbers as the processor has them in memory.
        to, mask = (int(fields[n], 16).to_bytes(4, sys.byteorder) for n in (1, 7))
        network = IPv4Network((to, str(IPv4Address(mask))))
        if network.prefixlen > _DEFAULT_ROUTE_BITS:
            found.append(network)
    return found


def failed_attempt(client: docker.DockerClient, job: str) -> str:
    """Return what the container `job` must be marked with so that it runs again if it failed.

    A job that ended badly is never run again by itself, as nothing about it has changed; a
    mark that names the failed attempt is a change. Empty where there was no failure.
    """
    try:
        container = client.containers.get(job)
    except NotFound:
        return ""
    state = container.attrs["State"]
    if state["Status"] == "exited" and state["ExitCode"] != 0:
        return str(container.short_id)
    return str(container.labels.get(LABEL_RETRY, ""))


def holds_data(volume: str) -> bool:
    """Tell whether a volume is there and has a file with content, or Docker does not say."""
    try:
        client = connect()
    except SpecError:
        return True
    try:
        client.volumes.get(volume)
        # Docker adds up the files of every volume for that, and of no single one.
        sizes = {one["Name"]: one["UsageData"]["Size"] for one in client.df()["Volumes"] or ()}
        return bool(sizes.get(volume) != 0)
    except NotFound:
        return False
    except (DockerException, requests.RequestException):
        return True
    finally:
        client.close()


def postgres_memory(
    client: docker.DockerClient, given: int | None, connections: int
) -> PostgresMemory:
    """Return PostgreSQL's settings for the limit `given`, or for its share of the machine.

    Raises `SpecError` when the machine has not that much memory.
    """
    machine = int(client.info()["MemTotal"])
    if given is not None and given > machine:
        raise SpecError(
            f"postgres_memory: {given // 2**20}m: the machine has {machine // 2**20}m; lower it"
        )
    try:
        return memory_settings(given or share(machine, connections), connections)
    except ValueError as error:
        raise SpecError(f"workers: {error}; set fewer workers or replicas") from None


def connect() -> docker.DockerClient:
    """Return a client of this machine's Docker engine; raise `SpecError` when none answers."""
    check_is_near()
    try:
        client = docker.from_env(timeout=30)
        client.ping()
    except DockerException as error:
        reason = str(error).splitlines()[0]
        raise SpecError(f"Docker does not answer ({reason}); run scripts/setup") from None
    return client


def _container_on(client: docker.DockerClient, port: int) -> Container | None:
    for container in client.containers.list(filters={"publish": str(port)}, ignore_removed=True):
        return container
    return None


def port_problem(error: OSError, bind: IPv4Address, port: int, key: str) -> str:
    """Return the line about a port, of the setting `key`, that cannot be opened."""
    if error.errno == errno.EADDRNOTAVAIL:
        return f"bind: {bind}: is no address of this machine; set bind to 127.0.0.1"
    if error.errno == errno.EACCES:
        return f"{key}: {port}: needs more rights than yours; choose one above 1023"
    return (
        f"{key}: {port}: taken by {_process_on(port)}; end it, or choose another: "
        f"pulumi config set {key} {port + 1}"
    )


def _process_on(port: int, address: str | None = None) -> str:
    """Name who listens at a port, at that address where one is given."""
    try:
        for connection in psutil.net_connections("tcp"):
            local = connection.laddr
            if not local or local.port != port or not connection.pid:
                continue
            if address is None or local.ip in (address, "::"):
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    if sys.platform == "darwin" and port in _AIRPLAY_PORTS:
        return "another program (AirPlay Receiver has it unless turned off in System Settings)"
    return "another program"
