"""Toxiproxy in front of a stack: a container that every call of a run goes through.

It stands between the clients and the stack's front (the load balancer, or the only replica), where
networks are bad in practice: offices, VPNs, other regions. There it can strike any stack as it is,
and a lost answer is what makes clients send a write again. It is in the path of the baseline too.
API: github.com/Shopify/toxiproxy, README of v2.12.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import requests

from infra.labels import LABEL_STACK
from infra.outputs import Target
from workloads import CannotRunError
from workloads.faults.on_container import connect

if TYPE_CHECKING:
    from docker.models.containers import Container

ROOT = Path(__file__).resolve().parents[2]
LABEL = "mlflow-bench.component"
NAME = "toxiproxy"
API_PORT = 8474
PORT = 8666
START_S = 15.0
PATIENCE_S = 5.0


class Proxy:
    """A running proxy: `address` is what clients use, by the scheme of the stack's own."""

    def __init__(self, container: "Container", scheme: str) -> None:
        self._container = container
        container.reload()
        self._api = f"http://{_published(container, API_PORT)}"
        self.address = f"{scheme}://{_published(container, PORT)}"

    def add(self, name: str, toxic: dict[str, Any]) -> None:
        """Add a toxic, as `{"type": "latency", "attributes": {"latency": 200}}`."""
        self._ask("POST", f"proxies/{NAME}/toxics", {"name": name, **toxic})

    def remove(self, name: str) -> None:
        """Remove a toxic, if it is there; connections that it held go on or are closed."""
        if name in self.toxics():
            self._ask("DELETE", f"proxies/{NAME}/toxics/{name}")

    def toxics(self) -> list[str]:
        """Names of the toxics that are in place."""
        return [str(toxic["name"]) for toxic in self._ask("GET", f"proxies/{NAME}/toxics")]

    def lead_to(self, upstream: str) -> None:
        """Open the port that leads to `host:port`, once the proxy answers."""
        end = time.monotonic() + START_S
        while True:
            try:
                listen = {"name": NAME, "listen": f"0.0.0.0:{PORT}", "upstream": upstream}
                self._ask("POST", "proxies", listen)
            except requests.ConnectionError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
            else:
                return

    def _ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        answer = requests.request(method, f"{self._api}/{path}", json=body, timeout=PATIENCE_S)
        answer.raise_for_status()
        return answer.json() if answer.content else None


def start(target: Target) -> Proxy:
    """Start a proxy in front of a stack on Docker, labelled as the stack's.

    Raises `CannotRunError` if its image cannot be built, and Docker's errors.
    """
    client = connect()
    front, port = _front(target)
    networks = front.attrs["NetworkSettings"]["Networks"]
    labels = {key: value for key, value in front.labels.items() if key.startswith("mlflow-bench.")}
    first, *others = networks
    container = client.containers.run(
        _image(),
        name=f"mlflow-bench-{target.stack}-{NAME}",
        labels=labels | {LABEL: NAME},
        network=first,
        ports={f"{number}/tcp": ("127.0.0.1", 0) for number in (API_PORT, PORT)},
        read_only=True,
        cap_drop=["ALL"],
        security_opt=["no-new-privileges:true"],
        detach=True,
        init=True,
    )
    try:
        for network in others:
            client.networks.get(network).connect(container)
        proxy = Proxy(container, _scheme(target))
        proxy.lead_to(f"{front.labels[LABEL]}:{port}")
    except BaseException:
        container.remove(force=True)
        raise
    return proxy


def running(target: Target) -> Proxy:
    """Return the stack's proxy. Raises `LookupError` if there is none."""
    containers = _containers(target)
    if not containers:
        raise LookupError(f"no proxy stands in front of {target.stack}")
    return Proxy(containers[0], _scheme(target))


def remove(target: Target) -> bool:
    """Remove the stack's proxy; returns whether there was one."""
    containers = _containers(target)
    for container in containers:
        container.remove(force=True)
    return bool(containers)


def _scheme(target: Target) -> str:
    """It passes TLS on as it comes; the certificate is for this machine's names, as `localhost`."""
    return urlsplit(target.tracking_uri).scheme


def _containers(target: Target) -> list["Container"]:
    chosen: dict[str, str | list[str] | bool] = {
        "label": [f"{LABEL_STACK}={target.stack}", f"{LABEL}={NAME}"]
    }
    containers: list[Container] = connect().containers.list(
        all=True, filters=chosen, ignore_removed=True
    )
    return containers


def _front(target: Target) -> tuple["Container", int]:
    """The container that has the stack's port, and that port inside of it."""
    published_port = str(urlsplit(target.tracking_uri).port)
    client = connect()
    for component in target.components:
        container = client.containers.get(component.container)
        bound: dict[str, Any] = container.attrs["HostConfig"]["PortBindings"] or {}
        for inside, bindings in bound.items():
            if any(binding["HostPort"] == published_port for binding in bindings or ()):
                return container, int(inside.removesuffix("/tcp"))
    raise CannotRunError(
        f"no container of {target.stack} has its port {published_port}: deploy it again"
    )


def _published(container: "Container", port: int) -> str:
    end = time.monotonic() + START_S
    while not (bound := container.attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp")):
        if time.monotonic() > end:
            raise CannotRunError(f"{container.name} did not open its port {port}: see its log")
        time.sleep(0.1)
        container.reload()
    # The name that every server allows its clients.
    return f"localhost:{bound[0]['HostPort']}"


def _image() -> str:
    """Build the image, if it is not there; returns its tag. `infra` does so: it has the images."""
    command = [sys.executable, "-m", "infra.image.build", NAME]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise CannotRunError(f"the image of Toxiproxy cannot be built: {last}")
    return done.stdout.strip().splitlines()[-1]
