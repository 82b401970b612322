"""Containers for the tests: started as a deployment starts them, and all removed at the end."""

import subprocess
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import docker
from docker.models.containers import Container
from docker.models.networks import Network

from infra.components.secret_files import TLS_CERTIFICATE_FILE, TLS_KEY_FILE
from infra.image.build import build as build  # what the tests of images import from here

LABEL = "mlflow-bench.test"
# Every character that pgpass files, SQL, psql or a shell could take for its own.
PASSWORD = r"""a:b\c'd"e$f`g %h#ü"""


class Sandbox:
    """Docker objects of one test session, labelled with a name of its own."""

    def __init__(self, client: docker.DockerClient, secret: Path) -> None:
        self.client = client
        self.secret = secret
        self.name = f"mlflow-bench-test-images-{uuid.uuid4().hex[:8]}"
        self._labels = {LABEL: self.name}
        self.network: Network = client.networks.create(self.name, labels=self._labels)

    def volume(self) -> str:
        """Create an empty named volume."""
        name = f"{self.name}-{uuid.uuid4().hex[:8]}"
        self.client.volumes.create(name, labels=self._labels)
        return name

    def run(self, image: str, command: list[str], **options: Any) -> Container:
        """Start a container as a deployment does: read-only, without any privilege."""
        container = self.client.containers.create(
            image,
            command,
            name=f"{self.name}-{uuid.uuid4().hex[:8]}",
            labels=self._labels,
            read_only=True,
            cap_drop=["ALL"],
            **{
                "security_opt": ["no-new-privileges"],
                "tmpfs": {"/tmp": ""},
                "volumes": [f"{self.secret}:/run/secrets/database-password:ro"],
            }
            | options,
        )
        alias = options.get("hostname")
        if "network_mode" not in options:
            self.client.networks.get("bridge").disconnect(container)
            self.network.connect(container, aliases=[alias] if alias else None)
        container.start()
        return container

    def close(self) -> None:
        """Remove everything that carries the session's label."""
        mine: Any = {"label": f"{LABEL}={self.name}"}
        for container in self.client.containers.list(all=True, filters=mine, ignore_removed=True):
            container.remove(force=True, v=True)
        for volume in self.client.volumes.list(filters=mine):
            volume.remove()
        for network in self.client.networks.list(filters=mine):
            network.remove()


@contextmanager
def opened() -> Iterator[Sandbox]:
    """Have a sandbox, with a folder of its own around the password's file, outside of a test."""
    with closing(docker.from_env(timeout=600)) as client, tempfile.TemporaryDirectory() as folder:
        secret = Path(folder) / "database-password"
        secret.write_text(PASSWORD)
        secret.chmod(0o444)
        sandbox = Sandbox(client, secret)
        try:
            yield sandbox
        finally:
            sandbox.close()


class Postgres:
    """A running PostgreSQL container of ours."""

    def __init__(self, sandbox: Sandbox, image: str, *arguments: str, **options: Any) -> None:
        self.volume = options.pop("volume", None) or sandbox.volume()
        self._secret = options.pop("secret", sandbox.secret)
        self.host = options.pop("host", "127.0.0.1")
        certificate = options.pop("certificate", None)
        self.container = sandbox.run(
            image,
            list(arguments),
            environment={"POSTGRES_USER": "mlflow", "POSTGRES_DATABASE": "mlflow"}
            | options.pop("environment", {}),
            tmpfs={"/tmp": "", "/run/postgresql": ""},
            volumes=[
                f"{self.volume}:/var/lib/postgresql/data",
                f"{self._secret}:/run/secrets/database-password:ro",
                *(
                    f"{file}:/run/secrets/{name}:ro"
                    for name, file in (
                        ((TLS_CERTIFICATE_FILE, certificate.cert), (TLS_KEY_FILE, certificate.key))
                        if certificate
                        else ()
                    )
                ),
            ],
            ports={"5432/tcp": (self.host, None)},
            **options,
        )

    @property
    def port(self) -> int:
        """Port on this machine; another one after each start."""
        self.container.reload()
        published: Any = self.container.ports
        return int(published["5432/tcp"][0]["HostPort"])

    def is_ready(self) -> bool:
        return execute(self.container, "ready").returncode == 0

    def use_tls(self, certificate: Path) -> None:
        """Accept encrypted connections with a certificate and the key beside it."""
        folder = "/var/lib/postgresql/data"
        for option, file in (
            ("ssl_cert_file", certificate),
            ("ssl_key_file", certificate.with_suffix(".key")),
        ):
            # The server takes only a key that is its own user's and nobody else's.
            command = ["sh", "-c", f"umask 077; cat > {folder}/{file.name}"]
            assert execute(self.container, *command, stdin=file.read_text()).returncode == 0
            self.sql(f"ALTER SYSTEM SET {option} = '{folder}/{file.name}'")
        self.sql("ALTER SYSTEM SET ssl = on")
        self.sql("SELECT pg_reload_conf()")
        wait_until(lambda: self.sql("SHOW ssl") == "on", 120, "TLS is on")

    def sql(self, statement: str, database: str = "mlflow") -> str:
        """Run SQL as the superuser over the socket; returns unaligned rows."""
        result = execute(
            self.container,
            *("psql", "--no-psqlrc", "-qAt", "--set=ON_ERROR_STOP=1", "--host=/run/postgresql"),
            *(f"--dbname={database}", "--file=-"),
            stdin=statement,
        )
        assert result.returncode == 0, result.stderr
        return result.stdout.strip()

    def dump(self, *options: str) -> str:
        """Return everything in the database as SQL."""
        result = execute(
            self.container,
            *("pg_dump", "--host=/run/postgresql", "--restrict-key=test", *options, "mlflow"),
        )
        assert result.returncode == 0, result.stderr
        return result.stdout


def certificate(folder: Path, name: str) -> Path:
    """Write a self-signed certificate for `name`, as `DNS:localhost`, and its key beside it."""
    file = folder / "server.crt"
    options = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1"
    subprocess.run(
        [
            *("openssl", *options.split(), "-subj", "/CN=a test", "-addext"),
            *(f"subjectAltName={name}", "-keyout", file.with_suffix(".key"), "-out", file),
        ],
        check=True,
        capture_output=True,
    )
    return file


def execute(
    container: Container, *command: str, stdin: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command in a container, as its user."""
    return subprocess.run(
        ["docker", "exec", "--interactive", str(container.id), *command],
        input=stdin or "",
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def wait_until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for a condition; an AssertionError says what did not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)


def logs(container: Container) -> str:
    return container.logs().decode()


def ends(container: Container, seconds: float = 60) -> tuple[int, str]:
    """Wait for the end of a container; returns exit status and output."""
    status = container.wait(timeout=seconds)["StatusCode"]
    return int(status), logs(container)
