"""Containers beside those of a stack: what a stack must never have, for tests of the checks."""

import io
import tarfile
import time
import uuid
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import Any

import docker
import requests
from docker.models.containers import Container

from infra.components import nginx

LABEL = "mlflow-bench.test"
PORT = 5000
LOSSY_PROXY = Path(__file__).parents[1] / "lossy_proxy.py"


class ExtraContainers:
    """Starts containers in the first zone of a stack; `close` removes them all."""

    def __init__(self, client: docker.DockerClient, stack: str) -> None:
        self._client = client
        self._prefix = f"mlflow-bench-{stack}-"
        self._name = f"extra-{stack}-{uuid.uuid4().hex[:6]}"

    def close(self) -> None:
        mine: Any = {"label": f"{LABEL}={self._name}"}
        for container in self._client.containers.list(all=True, filters=mine, ignore_removed=True):
            container.remove(force=True, v=True)
        for volume in self._client.volumes.list(filters=mine):
            volume.remove()

    def of(self, component: str) -> Container:
        """Return a container of the stack itself."""
        return self._client.containers.get(self._prefix + component)

    def replica(self, name: str, folder: str) -> Container:
        """Start a tracking server as the stack's own, with artifacts in a folder of its own."""
        own = self.of("mlflow-a-1").attrs
        command = [
            f"--artifacts-destination={folder}" if "--artifacts-destination" in part else part
            for part in own["Config"]["Cmd"]
            if not part.startswith(("--app-name", "--trace-archival-config"))
        ]
        secrets = next(m for m in own["Mounts"] if m["Destination"] == "/run/secrets")
        return self._start(
            name,
            own["Config"]["Image"],
            command,
            environment=[e for e in own["Config"]["Env"] if not e.startswith("TMPDIR=")],
            volumes={secrets["Name"]: {"bind": "/run/secrets", "mode": "ro"}},
            ports={f"{PORT}/tcp": ("127.0.0.1", None)},
        )

    def lossy_proxy(self, name: str, upstream: Container, route: str) -> Container:
        """Start a proxy that loses the first answer of a route."""
        image = self.of("mlflow-a-1").attrs["Config"]["Image"]
        place = f"{address(upstream)}:{PORT}"
        script = LOSSY_PROXY.read_text()
        return self._start(name, image, ["python3", "-c", script, str(PORT), place, route, "1"])

    def balancer(self, name: str, configuration: str, image: str | None = None) -> str:
        """Start nginx with this configuration, and return its address on this machine.

        Without an image, it is that of the stack's own nginx.
        """
        image = image or self.of("nginx").attrs["Config"]["Image"]
        volume = self._client.volumes.create(f"{self._name}-{name}", labels={LABEL: self._name})
        folder = PurePosixPath(nginx.CONFIGURATION_FILE).parent
        container = self._start(
            name,
            image,
            [],
            volumes={volume.name: {"bind": str(folder), "mode": "rw"}},
            ports={f"{nginx.PORT}/tcp": ("127.0.0.1", None)},
            files={nginx.CONFIGURATION_FILE: configuration},
        )
        return uri(container, nginx.PORT)

    def _start(
        self,
        name: str,
        image: str,
        command: list[str],
        *,
        files: dict[str, str] | None = None,
        **options: Any,
    ) -> Container:
        [network] = self.of("mlflow-a-1").attrs["NetworkSettings"]["Networks"]
        container = self._client.containers.create(
            image,
            command,
            name=f"{self._name}-{name}",
            hostname=name,
            labels={LABEL: self._name},
            network=network,
            read_only=True,
            cap_drop=["ALL"],
            tmpfs={"/tmp": "mode=1777", "/var/tmp": "mode=1777"},
            **options,
        )
        for path, text in (files or {}).items():
            packed = io.BytesIO()
            with tarfile.open(fileobj=packed, mode="w") as tar:
                member = tarfile.TarInfo(PurePosixPath(path).name)
                member.size, member.mode = len(text.encode()), 0o444
                tar.addfile(member, io.BytesIO(text.encode()))
            assert container.put_archive(str(PurePosixPath(path).parent), packed.getvalue())
        container.start()
        container.reload()
        return container


def address(container: Container) -> str:
    """Return where a container is in its first network."""
    return str(next(iter(container.attrs["NetworkSettings"]["Networks"].values()))["IPAddress"])


def place(container: Container, name: str) -> nginx.Replica:
    return nginx.Replica(IPv4Address(address(container)), PORT, name)


def uri(container: Container, port: int = PORT) -> str:
    container.reload()
    published: Any = container.ports
    return f"http://127.0.0.1:{published[f'{port}/tcp'][0]['HostPort']}"


def wait_for(server: str, seconds: float = 300) -> None:
    """Wait until a tracking server answers from its database."""
    deadline = time.monotonic() + seconds
    search = f"{server}/api/2.0/mlflow/experiments/search?max_results=1"
    while True:
        try:
            if requests.get(search, timeout=5).ok:
                return
        except requests.RequestException:
            pass
        assert time.monotonic() < deadline, f"{server} does not answer"
        time.sleep(0.3)
