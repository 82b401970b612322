"""The object stores' images as running containers; the tests and the benchmark share them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3  # type: ignore[import-untyped]
from botocore.config import Config  # type: ignore[import-untyped]
from docker.models.containers import Container

from tests.images.sandbox import Sandbox, execute, wait_until

BUCKET = "artifacts"
USER = "mlflow"
ROOT = "root-admin"
# Every character that JSON, curl's configuration or a shell could take for its own.
PASSWORD = r"""a:b\c'd"e$f`g%h#i{j"""
ROOT_PASSWORD = r"""r00t\"'$-{}of-the-tests"""
VOLUME = "/var/lib/object-store"
START_SECONDS = 120


@dataclass(frozen=True)
class Engine:
    """What is different from one engine to the other."""

    name: str
    uid: int
    ports: frozenset[int]
    """TCP ports that others in the container's network can connect to."""


MINIO = Engine("minio", 10003, frozenset({9000}))
SEAWEEDFS = Engine("seaweedfs", 10004, frozenset({9000, 19000}))
ENGINES = (MINIO, SEAWEEDFS)


def write_secrets(folder: Path, password: str = PASSWORD, root: str = ROOT_PASSWORD) -> Path:
    """Write the files that are mounted as /run/secrets, into a folder that may exist already."""
    folder.mkdir(exist_ok=True)
    for name, content in (
        ("object-store-password", password),
        ("object-store-root-password", root),
    ):
        file = folder / name
        file.unlink(missing_ok=True)
        file.write_text(f"{content}\n")
        file.chmod(0o444)
    return folder


class ObjectStore:
    """A container of one engine, from its start to its removal with the sandbox."""

    def __init__(
        self,
        sandbox: Sandbox,
        engine: Engine,
        image: str,
        secrets: Path,
        *,
        volume: str | None = None,
        mounts: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self.engine = engine
        self.image = image
        self.secrets = secrets
        self.volume = volume or sandbox.volume()
        self.host = options.pop("host", "127.0.0.1")
        self.container: Container = sandbox.run(
            image,
            options.pop("command", []),
            init=True,
            environment={"OBJECT_STORE_BUCKET": BUCKET, "OBJECT_STORE_USER": USER}
            | options.pop("environment", {}),
            volumes=[f"{self.volume}:{VOLUME}", f"{secrets}:/run/secrets:ro", *mounts],
            ports={"9000/tcp": (self.host, None)},
            **options,
        )

    @property
    def endpoint(self) -> str:
        """Address on this machine; another one after each start."""
        self.container.reload()
        published: Any = self.container.ports
        return f"http://{self.host}:{published['9000/tcp'][0]['HostPort']}"

    def is_ready(self) -> bool:
        return execute(self.container, "ready").returncode == 0

    def wait(self) -> "ObjectStore":
        wait_until(self.is_ready, START_SECONDS, f"{self.engine.name} is ready")
        return self

    def restart(self, *, kill: bool = False) -> None:
        """Stop or kill the container, start it, and wait until it is ready."""
        if kill:
            self.container.kill("SIGKILL")
            self.container.wait(timeout=180)
        else:
            self.container.stop(timeout=60)
        self.container.start()
        self.wait()

    def client(
        self, user: str = USER, password: str = PASSWORD, service: str = "s3", **options: Any
    ) -> Any:
        """Return a boto3 client, by default as the bucket's user."""
        return boto3.session.Session().client(
            service,
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=user,
            aws_secret_access_key=password,
            config=Config(
                # The default for presigned URLs is the old version 2, which signs content types.
                signature_version="s3v4",
                retries={"total_max_attempts": 1},
                connect_timeout=5,
                max_pool_connections=16,
            ),
            **options,
        )

    def root(self) -> Any:
        """Return a boto3 client as the administrator."""
        return self.client(ROOT, ROOT_PASSWORD)
