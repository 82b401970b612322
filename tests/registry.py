"""A registry on loopback: Debian's, in a container that goes with the test."""

import io
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import docker
import requests
from docker.models.containers import Container

IMAGE = "mlflow-bench/test-registry:1"
USER, PASSWORD = "somebody", "a password: öä"
DOCKERFILE = f"""\
FROM debian:trixie-slim
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends \\
      apache2-utils docker-registry \\
 && rm -rf /var/lib/apt/lists/* \\
 && htpasswd -Bbn {USER} '{PASSWORD}' > /etc/htpasswd
"""
OPEN = (
    "version: 0.1\nstorage: {filesystem: {rootdirectory: /tmp/registry}}\nhttp: {addr: ':5000'}\n"
)
LOCKED = OPEN + "auth: {htpasswd: {realm: test, path: /etc/htpasswd}}\n"


@contextmanager
def registry(client: docker.DockerClient, *, locked: bool = False) -> Iterator[str]:
    """Run a registry; yields its address. A locked one knows `USER` alone."""
    client.images.build(fileobj=io.BytesIO(DOCKERFILE.encode()), tag=IMAGE, rm=True, forcerm=True)
    ports: Any = {"5000/tcp": ("127.0.0.1", None)}
    container = client.containers.create(
        IMAGE,
        ["sh", "-c", 'echo "$CONFIG" > /tmp/c && exec docker-registry serve /tmp/c'],
        name=f"mlflow-bench-test-registry-{uuid.uuid4().hex[:8]}",
        environment={"CONFIG": LOCKED if locked else OPEN},
        ports=ports,
    )
    try:
        container.start()
        yield _answering(container)
    finally:
        container.remove(force=True, v=True)


def inside(client: docker.DockerClient, address: str) -> str:
    """Return the address in Docker's network of the registry at `address`."""
    [container] = client.containers.list(filters={"publish": address.rpartition(":")[2]})
    return f"{container.attrs['NetworkSettings']['IPAddress']}:5000"


def _answering(container: Container) -> str:
    end = time.monotonic() + 30
    while True:
        container.reload()
        ports = container.ports.get("5000/tcp")
        if ports:
            address = f"127.0.0.1:{ports[0]['HostPort']}"
            try:
                requests.get(f"http://{address}/v2/", timeout=5)
                return address
            except requests.ConnectionError:
                pass
        assert time.monotonic() < end, container.logs().decode()
        time.sleep(0.1)
