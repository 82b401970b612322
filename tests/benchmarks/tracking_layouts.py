"""The two layouts that the tracking benchmark compares, as plain containers on one network."""

import io
import secrets
import signal
import tarfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import PurePosixPath
from typing import Any

import docker
from docker.models.containers import Container
from docker.types import LogConfig

from infra import nginx
from infra.capacity import THREADS_PER_WORKER, capacity
from infra.server import ArtifactFolder, Database, TrackingServer

LABELS = {"mlflow-bench.benchmark": "tracking"}
REPLICAS = 2
SERVER_PORT = 5000
START_LIMIT = 300
IDLE_WINDOW = 5
IDLE_SHARE = 0.2
"""Processors that all replicas together use at most when idle: five times what was measured."""

DATABASE = Database(host="postgres", port=5432, name="mlflow", user="mlflow")
CAPACITY = capacity(replicas=REPLICAS, workers=1, jobs=False)
SERVER = TrackingServer(
    database=DATABASE,
    artifacts=ArtifactFolder(PurePosixPath("/var/lib/mlflow/artifacts")),
    capacity=CAPACITY,
    port=SERVER_PORT,
    workers=1,
    allowed_hosts=("localhost", "127.0.0.1"),
    jobs=False,
)


@dataclass(frozen=True)
class Images:
    """References of the images that both layouts run."""

    postgres: str
    mlflow: str
    nginx: str
    haproxy: str = ""
    """Only for the layout with it."""


@dataclass(frozen=True)
class Layout:
    """What differs between two deployments of the same images."""

    name: str
    postgres: Sequence[str]
    """Settings of PostgreSQL."""
    server: Sequence[str]
    """Command of a replica."""
    environment: Mapping[str, str] = field(default_factory=dict)

    proxy_file: str = nginx.CONFIGURATION_FILE
    """Where the proxy reads its configuration."""

    def proxy(self, replicas: tuple[nginx.Replica, ...]) -> str:
        """Return the proxy's configuration."""
        return nginx.configuration(replicas)

    def proxy_image(self, images: "Images") -> str:
        """Return the image of the proxy."""
        return images.nginx


class HaproxyLayout(Layout):
    """Ours with HAProxy: active checks, and a queue for each replica instead of one in it."""

    def proxy(self, replicas: tuple[nginx.Replica, ...]) -> str:
        """Return haproxy.cfg; a POST is sent again only where no connection was made."""
        servers = "\n".join(
            f"    server r{number} {replica.address}:{replica.port}"
            f" maxconn {THREADS_PER_WORKER} check inter 1s fall 2 rise 1"
            for number, replica in enumerate(replicas)
        )
        return f"""
global
    nbthread 2
    maxconn 8192
    log stdout format raw daemon
defaults
    mode http
    log global
    option httplog
    timeout connect {nginx.CONNECT_SECONDS}s
    timeout client {nginx.API_SILENCE_SECONDS}s
    timeout server {nginx.API_SILENCE_SECONDS}s
    timeout queue {nginx.API_SILENCE_SECONDS}s
    timeout check 1s
    timeout http-keep-alive {nginx.UPSTREAM_KEEP_ALIVE_SECONDS}s
    http-reuse always
    retries 2
    option redispatch
frontend stack
    bind :{nginx.PORT}
    default_backend tracking
backend tracking
    balance leastconn
    option httpchk GET /health
    http-check send hdr Host localhost
{servers}
"""

    def proxy_image(self, images: "Images") -> str:
        """Return the image of HAProxy."""
        return images.haproxy


class DefaultsLayout(Layout):
    """A deployment of the defaults: what works with the least that one has to write."""

    def proxy(self, replicas: tuple[nginx.Replica, ...]) -> str:
        """Return a plain proxy_pass; only what an unprivileged container needs is added to it.

        The Host header is one of these: without it, MLflow refuses every request.
        """
        servers = "".join(f"server {r.address}:{r.port};" for r in replicas)
        return _plain_nginx(
            f"upstream tracking {{ {servers} }}",
            "proxy_pass http://tracking; proxy_set_header Host $host;",
        )


def _plain_nginx(http: str, location: str) -> str:
    folders = "".join(
        f"{kind}_temp_path /tmp/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    return f"""
        daemon off; pid /tmp/nginx.pid; error_log stderr; worker_processes auto;
        events {{}}
        http {{
            {folders} access_log /dev/stdout;
            {http}
            server {{ listen {nginx.PORT}; location / {{ {location} }} }}
        }}
    """


TUNED = Layout(
    name="multi-az",
    postgres=["-c", f"max_connections={CAPACITY.max_connections}"],
    server=SERVER.command(),
    environment=SERVER.environment(),
)

HAPROXY = HaproxyLayout(
    name="haproxy",
    postgres=TUNED.postgres,
    server=TUNED.server,
    environment=TUNED.environment,
    proxy_file="/etc/haproxy/deployment/haproxy.cfg",
)

DEFAULTS = DefaultsLayout(
    name="defaults",
    postgres=[],
    server=["mlflow", "server", "--host=0.0.0.0", f"--backend-store-uri={DATABASE.uri}"],
)


@dataclass(frozen=True)
class Deployment:
    """A layout that runs and is ready."""

    address: str
    """Of the proxy, for a client on this machine."""
    replicas: tuple[Container, ...]
    postgres: Container
    ready_seconds: float
    """From the start of the replicas until each of them has answered from the database."""

    def memory(self) -> list[int]:
        """Return the bytes of each replica that are not a cache of files."""
        figures = []
        for replica in self.replicas:
            stats: Any = replica.stats(stream=False)
            memory = stats["memory_stats"]["stats"]
            # The names of control groups' first and second version.
            figures.append(int(memory["total_rss" if "total_rss" in memory else "anon"]))
        return figures

    def wait_until_idle(self) -> None:
        """Wait until the replicas have started whatever they start after they answer.

        The defaults' job consumers import all of MLflow: a load beside that measures the start.
        Raises `RuntimeError` when they stay busy.
        """
        deadline = time.monotonic() + START_LIMIT
        while True:
            start, used = time.monotonic(), self._processor_seconds()
            time.sleep(IDLE_WINDOW)
            share = (self._processor_seconds() - used) / (time.monotonic() - start)
            if share < IDLE_SHARE:
                return
            if time.monotonic() > deadline:
                raise RuntimeError(f"the replicas still use {share:.2f} processors without a load")

    def _processor_seconds(self) -> float:
        total = 0.0
        for replica in self.replicas:
            stats: Any = replica.stats(stream=False)
            total += stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        return total

    def setting(self, name: str) -> str:
        """Return a setting of the running PostgreSQL."""
        query = ["psql", "-XAtU", "postgres", "-h", "/run/postgresql", "-c", f"SHOW {name}"]
        output = self.postgres.exec_run(query).output
        assert isinstance(output, bytes)
        return output.decode().strip()


def build_haproxy(client: docker.DockerClient, base: str) -> str:
    """Build Debian's HAProxy, unprivileged, on the image that the others are built on."""
    lines = (
        f"FROM {base}",
        "RUN apt-get update && apt-get install -y --no-install-recommends haproxy"
        " && install -d /etc/haproxy/deployment",
        "USER haproxy",
        f'ENTRYPOINT ["haproxy", "-W", "-f", "{HAPROXY.proxy_file}"]',
    )
    tag = "mlflow-bench/benchmark-haproxy:1"
    client.images.build(fileobj=io.BytesIO("\n".join(lines).encode()), tag=tag, rm=True)
    return tag


@contextmanager
def deployed(client: docker.DockerClient, images: Images, layout: Layout) -> Iterator[Deployment]:
    """Run a layout on an empty database; remove all of it afterwards, whatever happened."""
    with _room(client) as room:
        yield _deploy(room, images, layout)


@contextmanager
def null_server(client: docker.DockerClient, images: Images) -> Iterator[str]:
    """Run a server that answers at once, and yield its address."""
    with _room(client) as room:
        server = room.create(
            "null",
            images.nginx,
            files={nginx.CONFIGURATION_FILE: _plain_nginx("", "return 200 '{}';")},
            port=nginx.PORT,
        )
        server.start()
        address = published(server, nginx.PORT)
        deadline = time.monotonic() + START_LIMIT
        while not _answers(address):
            _patience(deadline, server)
        yield address


class _Room:
    """A network of its own, and what runs in it."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self.name = f"mlflow-bench-tracking-{secrets.token_hex(3)}"

    def open(self) -> None:
        """Create the network."""
        self._client.networks.create(self.name, driver="bridge", labels=LABELS)

    def create(
        self,
        name: str,
        image: str,
        command: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        files: Mapping[str, str] | None = None,
        folder: str | None = None,
        port: int | None = None,
    ) -> Container:
        """Create a container as a stack does, with `files` and an empty `folder` in volumes."""
        mounts: dict[str, dict[str, str]] = {}
        for path in {str(PurePosixPath(file).parent) for file in files or {}} | {folder} - {None}:
            volume = self._client.volumes.create(f"{self.name}-{name}-{len(mounts)}", labels=LABELS)
            mounts[str(volume.name)] = {"bind": str(path), "mode": "rw"}
        container = self._client.containers.create(
            image,
            list(command),
            name=f"{self.name}-{name}",
            network=self.name,
            networking_config={self.name: self._client.api.create_endpoint_config(aliases=[name])},
            environment=dict(environment or {}),
            labels=LABELS,
            init=True,
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges:true"],
            tmpfs={"/tmp": "mode=1777", "/run/postgresql": "mode=1777"},
            # Port 0: a free one.
            ports={f"{port}/tcp": ("127.0.0.1", 0)} if port else {},
            volumes=mounts,
            log_config=LogConfig(type="json-file", config={"max-size": "20m", "max-file": "3"}),
        )
        for file, content in (files or {}).items():
            upload(container, file, content)
        return container

    def close(self) -> None:
        """Remove everything whose name starts with the room's."""
        mine: dict[str, str | list[str] | bool] = {"name": self.name}
        for container in self._client.containers.list(all=True, filters=mine, ignore_removed=True):
            container.remove(force=True, v=True)
        for volume in self._client.volumes.list(filters=mine):
            volume.remove(force=True)
        for network in self._client.networks.list(filters=mine):
            network.remove()


@contextmanager
def _room(client: docker.DockerClient) -> Iterator[_Room]:
    room = _Room(client)
    try:
        room.open()
        yield room
    finally:
        with _uninterrupted():
            room.close()


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C and termination: a second one must not leave half of a removal."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    handlers = [signal.signal(number, signal.SIG_IGN) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, handlers, strict=True):
            signal.signal(number, handler)


def _deploy(room: _Room, images: Images, layout: Layout) -> Deployment:
    secret = {"/run/secrets/database-password": secrets.token_hex(16)}
    postgres = room.create(
        "postgres",
        images.postgres,
        layout.postgres,
        {"POSTGRES_USER": DATABASE.user, "POSTGRES_DATABASE": DATABASE.name},
        secret,
        "/var/lib/postgresql/data",
    )
    postgres.start()
    deadline = time.monotonic() + START_LIMIT
    while postgres.exec_run(["ready"]).exit_code != 0:
        _patience(deadline, postgres)
    job = room.create("schema", images.mlflow, SERVER.schema_job_command(), files=secret)
    job.start()
    if job.wait()["StatusCode"] != 0:
        raise RuntimeError(f"the schema job failed: {_tail(job)}")

    replicas = [
        room.create(
            f"mlflow-{number}",
            images.mlflow,
            layout.server,
            layout.environment,
            secret,
            port=SERVER_PORT,
        )
        for number in range(REPLICAS)
    ]
    start = time.monotonic()
    for replica in replicas:
        replica.start()
    for replica in replicas:
        address = published(replica, SERVER_PORT)
        while not _answers(address):
            _patience(start + START_LIMIT, replica)
    ready_seconds = time.monotonic() - start

    places = tuple(
        nginx.Replica(
            IPv4Address(replica.attrs["NetworkSettings"]["Networks"][room.name]["IPAddress"]),
            SERVER_PORT,
            str(replica.name),
        )
        for replica in replicas
    )
    proxy = room.create(
        "proxy",
        layout.proxy_image(images),
        files={layout.proxy_file: layout.proxy(places)},
        port=nginx.PORT,
    )
    proxy.start()
    address = published(proxy, nginx.PORT)
    while not _answers(address):
        _patience(start + START_LIMIT, proxy)
    return Deployment(address, tuple(replicas), postgres, ready_seconds)


def upload(container: Container, file: str, content: str) -> None:
    """Write a file, readable and root's, into a volume of a container that is not yet started."""
    path = PurePosixPath(file)
    data = content.encode()
    entry = tarfile.TarInfo(path.name)
    entry.size, entry.mode = len(data), 0o444
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(entry, io.BytesIO(data))
    container.put_archive(str(path.parent), stream.getvalue())


def published(container: Container, port: int) -> str:
    """Return the address, on this machine, of a port of a running container."""
    container.reload()
    bindings = container.attrs["NetworkSettings"]["Ports"].get(f"{port}/tcp")
    if not bindings:
        raise RuntimeError(f"{container.name} ended: {_tail(container)}")
    return f"http://127.0.0.1:{bindings[0]['HostPort']}"


def _answers(address: str) -> bool:
    url = f"{address}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _patience(deadline: float, container: Container) -> None:
    """Wait a moment; raise `RuntimeError` when the container ended or is late."""
    container.reload()
    if container.status != "running" or time.monotonic() > deadline:
        raise RuntimeError(f"{container.name} is {container.status}: {_tail(container)}")
    time.sleep(0.1)


def _tail(container: Container) -> str:
    output = container.logs()
    assert isinstance(output, bytes)
    return output.decode(errors="replace")[-1000:]
