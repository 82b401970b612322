"""Checks the machine before anything is created."""

import socket
from ipaddress import IPv4Address

import docker
import requests
from docker.errors import DockerException, NotFound

from infra.checks.ports import check_free, process_on
from infra.components.postgres import PostgresMemory, memory_settings, share
from infra.image.engine import connect
from infra.labels import LABEL_STACK
from infra.specification.error import SpecError

LABEL_RETRY = "mlflow-bench.retry-of"


def check_port(
    client: docker.DockerClient, stack: str, bind: IPv4Address, port: int, key: str = "port"
) -> None:
    """Raise `SpecError` naming who holds `port`, unless it is free or the stack's own.

    `key` is where the stack file says it.
    """
    for holder in client.containers.list(filters={"publish": str(port)}, ignore_removed=True):
        owner = holder.labels.get(LABEL_STACK)
        if owner == stack:
            return
        raise SpecError(
            f"{key}: {port}: taken by the container {holder.name}"
            + (f" of stack {owner}; pulumi destroy -s {owner}" if owner else "; stop it")
            + f", or choose another: pulumi config set {key} {port + 1}"
        )
    check_free(bind, port, key)
    if key == "port":
        _check_localhost(bind, port)


def _check_localhost(bind: IPv4Address, port: int) -> None:
    """Refuse a port that another program has at the first address of `localhost`.

    Clients are told `localhost`, which on most machines is `::1` before it is `127.0.0.1`; and a
    socket of all addresses, as macOS' AirPlay Receiver has it, does not keep others from one.
    """
    if not (bind.is_loopback or bind.is_unspecified):
        return
    try:
        answers = socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM)
    except OSError:
        return
    for family, kind, _, _, address in answers:
        if family != socket.AF_INET6:
            return  # IPv4 comes first: the address that the stack opens.
        with socket.socket(family, kind) as probe:
            probe.settimeout(1)
            if probe.connect_ex(address) == 0:
                raise SpecError(
                    f"port: {port}: localhost leads to [{address[0]}] first, where it is taken by "
                    f"{process_on(port, str(address[0]))}; end it, or choose another: "
                    f"pulumi config set port {port + 1}"
                )


def failed_attempt(client: docker.DockerClient, job: str) -> str:
    """Return the label by which the container `job` runs again if it failed; else empty.

    Pulumi repeats no failed job, as nothing about it has changed; a label that names the failed
    attempt is a change.
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
    """Return whether a volume has a file with content; True if Docker does not say."""
    try:
        client = connect()
    except SpecError:
        return True
    try:
        client.volumes.get(volume)
        # Docker has no call for a single volume.
        volumes = client.df()["Volumes"] or ()
        sizes = {each["Name"]: each["UsageData"]["Size"] for each in volumes}
        return bool(sizes.get(volume) != 0)
    except NotFound:
        return False
    except (DockerException, requests.RequestException):
        return True
    finally:
        client.close()


def postgres_memory(
    client: docker.DockerClient, limit: int | None, connections: int
) -> PostgresMemory:
    """Return PostgreSQL's settings for `limit` bytes, or for its share of the machine.

    Raises `SpecError` when the machine has not that much memory.
    """
    machine = int(client.info()["MemTotal"])
    if limit is not None and limit > machine:
        raise SpecError(
            f"postgres_memory: {limit // 2**20}m: the machine has {machine // 2**20}m; lower it"
        )
    try:
        return memory_settings(limit or share(machine, connections), connections)
    except ValueError as error:
        raise SpecError(f"workers: {error}; set fewer workers or replicas") from None
