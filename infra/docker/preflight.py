"""Looks at the machine before anything is created, and says what stands in the way."""

import errno
import os
import socket
import zlib
from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address, IPv4Network, ip_network

import docker
import psutil
from docker.errors import DockerException, NotFound
from docker.models.containers import Container

from infra.docker.identity import LABEL_STACK
from infra.postgres import PostgresMemory, memory_settings, share
from infra.spec import SpecError

LABEL_RETRY = "mlflow-bench.retry-of"

SUBNETS = IPv4Network("10.89.0.0/16")
"""Where the subnets of zones are taken from."""


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
    if not docker_is_here():
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(bind), port))
        except OSError as error:
            raise SpecError(port_problem(error, bind, port, key)) from None


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
    free = iter(_free_subnets([one for some in taken.values() for one in some], start))
    return [taken[name][0] if name in taken else next(free) for name in networks]


def _free_subnets(taken: Sequence[IPv4Network], start: int) -> Iterator[IPv4Network]:
    here = [
        IPv4Network(f"{address.address}/{address.netmask}", strict=False)
        for addresses in psutil.net_if_addrs().values()
        for address in addresses
        if address.family == socket.AF_INET and address.netmask
    ]
    every = list(SUBNETS.subnets(new_prefix=24))
    start %= len(every)
    for subnet in every[start:] + every[:start]:
        if not any(subnet.overlaps(other) for other in [*taken, *here]):
            yield subnet
    raise SpecError(f"subnets: none is free in {SUBNETS}; give one for each zone")


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
    """Return a client of the Docker engine; raise `SpecError` when none answers."""
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


def docker_is_here() -> bool:
    """Tell whether the engine runs on this machine."""
    return os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")


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


def _process_on(port: int) -> str:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.laddr and connection.laddr.port == port and connection.pid:
                return f"process {connection.pid} ({psutil.Process(connection.pid).name()})"
    except psutil.Error:
        pass
    return "another program"
