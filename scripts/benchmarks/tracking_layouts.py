"""The two layouts that the tracking benchmark compares, as plain containers on one network."""

import secrets
import signal
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import Any

import docker
from docker.models.containers import Container

from infra.components import nginx
from infra.components.capacity import capacity
from infra.components.server import ArtifactFolder, Database, TrackingServer
from tests.images.sandbox import Postgres, Sandbox, ends, wait_until

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


@dataclass(frozen=True)
class Layout:
    """What differs between two deployments of the same images."""

    name: str
    postgres: Sequence[str]
    """Settings of PostgreSQL."""
    server: Sequence[str]
    """Command of a replica."""
    environment: Mapping[str, str] = field(default_factory=dict)

    def proxy(self, replicas: tuple[nginx.Replica, ...]) -> str:
        """Return the proxy's configuration."""
        return nginx.configuration(replicas)


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

DEFAULTS = DefaultsLayout(
    name="defaults",
    postgres=[],
    server=["mlflow", "server", "--host=0.0.0.0", f"--backend-store-uri={DATABASE.uri}"],
)


@dataclass(frozen=True)
class Deployment:
    """A layout that runs and is ready.

    Attributes:
        address: of the proxy, for a client on this machine.
        ready_seconds: from the start of the replicas until each has answered from the database.
    """

    address: str
    replicas: tuple[Container, ...]
    postgres: Postgres
    ready_seconds: float

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
        Raises `AssertionError` when they stay busy.
        """

        def idle() -> bool:
            start, used = time.monotonic(), self._processor_seconds()
            time.sleep(IDLE_WINDOW)
            return self._processor_seconds() - used < IDLE_SHARE * (time.monotonic() - start)

        wait_until(idle, START_LIMIT, "the replicas are idle without a load")

    def _processor_seconds(self) -> float:
        total = 0.0
        for replica in self.replicas:
            stats: Any = replica.stats(stream=False)
            total += stats["cpu_stats"]["cpu_usage"]["total_usage"] / 1e9
        return total

    def setting(self, name: str) -> str:
        """Return a setting of the running PostgreSQL."""
        return self.postgres.sql(f"SHOW {name}")


@contextmanager
def deployed(client: docker.DockerClient, images: Images, layout: Layout) -> Iterator[Deployment]:
    """Run a layout on an empty database; remove all of it afterwards, whatever happened."""
    with _sandbox(client) as sandbox:
        yield _deploy(sandbox, images, layout)


@contextmanager
def null_server(client: docker.DockerClient, images: Images) -> Iterator[str]:
    """Run a server that answers at once, and yield its address."""
    with _sandbox(client) as sandbox:
        yield _proxy(sandbox, images, _plain_nginx("", "return 200 '{}';"))


@contextmanager
def _sandbox(client: docker.DockerClient) -> Iterator[Sandbox]:
    with tempfile.TemporaryDirectory() as folder:
        password = Path(folder) / "database-password"
        password.write_text(secrets.token_hex(16))
        password.chmod(0o444)
        sandbox = Sandbox(client, password)
        try:
            yield sandbox
        finally:
            with _uninterrupted():
                sandbox.close()


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


def _deploy(sandbox: Sandbox, images: Images, layout: Layout) -> Deployment:
    postgres = Postgres(sandbox, images.postgres, *layout.postgres, hostname="postgres")
    wait_until(postgres.is_ready, START_LIMIT, "PostgreSQL is ready")
    status, output = ends(sandbox.run(images.mlflow, SERVER.schema_job_command()), START_LIMIT)
    if status:
        raise RuntimeError(f"the schema job failed: {output[-1000:]}")
    start = time.monotonic()
    replicas = [
        sandbox.run(
            images.mlflow,
            list(layout.server),
            environment=dict(layout.environment),
            hostname=f"mlflow-{number}",
            ports={f"{SERVER_PORT}/tcp": ("127.0.0.1", None)},
        )
        for number in range(REPLICAS)
    ]
    for replica in replicas:
        _wait_for(replica, SERVER_PORT)
    ready_seconds = time.monotonic() - start
    places = tuple(
        nginx.Replica(
            IPv4Address(replica.attrs["NetworkSettings"]["Networks"][sandbox.name]["IPAddress"]),
            SERVER_PORT,
            str(replica.name),
        )
        for replica in replicas
    )
    address = _proxy(sandbox, images, layout.proxy(places))
    return Deployment(address, tuple(replicas), postgres, ready_seconds)


def _proxy(sandbox: Sandbox, images: Images, configuration: str) -> str:
    """Start nginx and return its address when it answers."""
    file = sandbox.secret.with_name("nginx.conf")
    file.write_text(configuration)
    file.chmod(0o444)
    container = sandbox.run(
        images.nginx,
        [],
        volumes=[f"{file}:{nginx.CONFIGURATION_FILE}:ro"],
        ports={f"{nginx.PORT}/tcp": ("127.0.0.1", None)},
    )
    return _wait_for(container, nginx.PORT)


def _wait_for(container: Container, port: int) -> str:
    """Wait until a container answers a search; return its address on this machine."""
    container.reload()
    ports: Any = container.ports
    address = f"http://127.0.0.1:{ports[f'{port}/tcp'][0]['HostPort']}"
    url = f"{address}/api/2.0/mlflow/experiments/search?max_results=1"

    def answers() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    wait_until(answers, START_LIMIT, f"{container.name} answers")
    return address
