"""Ports of this machine that a stack wants, and who has them."""

import errno
import socket
import sys
from ipaddress import IPv4Address

import psutil

from infra.specification.error import SpecError

_AIRPLAY_PORTS = (5000, 7000)


def check_free(bind: IPv4Address, port: int, key: str) -> None:
    """Raise `SpecError` unless a program of this machine could open the port of the setting `key`.

    A port whose last connections are just being closed counts as free.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((str(bind), port))
        except OSError as error:
            raise SpecError(port_problem(error, bind, port, key)) from None


def port_problem(error: OSError, bind: IPv4Address, port: int, key: str) -> str:
    """Return the line about a port, of the setting `key`, that cannot be opened."""
    if error.errno == errno.EADDRNOTAVAIL:
        return f"bind: {bind}: is no address of this machine; set bind to 127.0.0.1"
    if error.errno == errno.EACCES:
        return f"{key}: {port}: needs more rights than yours; choose one above 1023"
    return (
        f"{key}: {port}: taken by {process_on(port)}; end it, or choose another: "
        f"pulumi config set {key} {port + 1}"
    )


def process_on(port: int, address: str | None = None) -> str:
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
