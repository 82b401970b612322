"""Where the Docker engine is: on this machine, in a virtual machine of it, or elsewhere.

A stack's ports are opened where the engine is: for clients at `bind`, and for the checks of a
workload on loopback, as they lead past the tracking server. An engine of another machine opens
them there, and nothing here reaches them.
"""

import os
import socket
from urllib.parse import urlsplit

import docker
import psutil
import pulumi
from docker.errors import DockerException

from infra.specification.error import SpecError


def check_is_near() -> None:
    """Raise `SpecError` unless the ports that the engine opens are this machine's."""
    own = pulumi.Config("docker").get("host")
    address = os.environ.get("DOCKER_HOST", "")
    if own is not None and own != address:
        raise SpecError(
            f"docker:host: {own}: is the plugin's alone, and what is looked at first asks "
            "DOCKER_HOST; set that instead, and pulumi config rm docker:host"
        )
    host = _host(address)
    if host and not _is_this_machine(host):
        raise SpecError(
            f"DOCKER_HOST: {address}: a stack's ports are opened where its engine is, those for "
            f"checks on loopback, and {host} is another machine; run this there, or use an engine "
            "of this machine (unset DOCKER_HOST, docker context use default)"
        )


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


def shares_kernel(client: docker.DockerClient) -> bool:
    """Tell whether containers run on this machine's own kernel.

    They do not where the engine has a virtual machine, as on macOS and with Docker Desktop.
    """
    here = os.uname()
    return here.sysname == "Linux" and client.info().get("KernelVersion") == here.release


def _host(address: str) -> str:
    """Return the machine in an engine's address; empty: a socket of this one."""
    parts = urlsplit(address)
    return (parts.hostname or "") if parts.scheme in ("tcp", "http", "https", "ssh") else ""


def _is_this_machine(host: str) -> bool:
    """Tell whether a name leads to an address of this machine."""
    try:
        addresses = {str(answer[4][0]) for answer in socket.getaddrinfo(host, None)}
    except OSError:
        return False
    own = {address.address for each in psutil.net_if_addrs().values() for address in each}
    return any(address in own or address.startswith("127.") for address in addresses)
