"""Ports for what tests start a while after they chose them."""

import random
import socket

# Outside what systems give to outgoing connections, what Kubernetes gives to services, and the
# ports of the project's audits: a port of those is taken by the time that it is used.
PORTS = range(20000, 30000)


def free_port() -> int:
    """Return a port of loopback that nobody listens at."""
    for port in random.sample(PORTS, len(PORTS)):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError("no port is free")
