"""Servers with MLflow's own users, as a stack has them, on a database that their job prepared."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from docker.models.containers import Container

from infra.components.capacity import capacity
from infra.components.oidc import SignOn
from infra.components.secret_files import (
    ADMIN_PASSWORD_FILE,
    METRICS_TOKEN_FILE,
    PASSWORD_FILE,
    SERVER_KEY_FILE,
)
from infra.components.server import ArtifactFolder, Database, TrackingServer
from infra.components.users import ADMINISTRATOR, DefaultPermission, Users
from tests.images.sandbox import Sandbox, ends, execute, wait_until
from tests.unit.infra.images.identity_provider import CLIENT

ADMIN_PASSWORD = "of-the-administrator-alone"
ADMIN = (ADMINISTRATOR, ADMIN_PASSWORD)
SERVER_KEY = "that-forms-are-signed-with"
METRICS_TOKEN = "of-prometheus-alone"
ARTIFACTS = "/var/lib/mlflow/artifacts"


def tracking_server(host: str, sign_on: SignOn | None = None, **settings: Any) -> TrackingServer:
    """The server of a stack with users, on the PostgreSQL called `host`."""
    jobs = settings.pop("jobs", False)
    default = settings.pop("default_permission", DefaultPermission.NONE)
    return TrackingServer(
        database=Database(host=host, port=5432, name="mlflow", user="mlflow"),
        artifacts=ArtifactFolder(PurePosixPath(ARTIFACTS)),
        capacity=capacity(replicas=2, workers=1, jobs=jobs, users=True, workspaces=True),
        port=5000,
        workers=1,
        allowed_hosts=(),
        jobs=jobs,
        users=Users(default, sign_on),
        metrics=True,
        **settings,
    )


def sign_on(issuer: str, **settings: Any) -> SignOn:
    """What a stack file without more keys says of a provider."""
    usual: dict[str, Any] = {
        "client_id": CLIENT,
        "audience": CLIENT,
        "username_claim": "email",
        "groups_claim": "groups",
        "admin_groups": (),
        "allowed_groups": (),
        "session_seconds": 3600,
        "has_ca": False,
        "tls": False,
    }
    return SignOn(issuer=issuer, **usual | settings)


class ServersWithUsers:
    """Replicas of one server, which take their files as a stack gives them."""

    def __init__(
        self,
        sandbox: Sandbox,
        image: str,
        host: str,
        folder: Path,
        *,
        replicas: int = 1,
        environment: dict[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        **settings: Any,
    ) -> None:
        self._sandbox, self._image = sandbox, image
        self._secrets = {
            SERVER_KEY_FILE: SERVER_KEY,
            METRICS_TOKEN_FILE: METRICS_TOKEN,
            **(secrets or {}),
        }
        self.server = tracking_server(host, **settings)
        self._folder = folder
        self._artifacts = sandbox.volume()
        self._environment = self.server.environment() | (environment or {})
        for name, content in {ADMIN_PASSWORD_FILE: ADMIN_PASSWORD, **self._secrets}.items():
            (folder / name).write_text(content)
        for path, content in self.server.files().items():
            (folder / Path(path).name).write_text(content)
        status, output = self.schema_job()
        assert status == 0, output
        self.containers = [self._start() for _ in range(replicas)]

    def __enter__(self) -> "ServersWithUsers":
        """Wait until they answer."""
        self.wait()
        return self

    def __exit__(self, *_: object) -> None:
        """Remove them."""
        for container in self.containers:
            container.remove(force=True)

    def schema_job(self) -> tuple[int, str]:
        """Run the job; return its exit status and output."""
        job = self._sandbox.run(
            self._image,
            self.server.schema_job_command(),
            environment=self.server.environment(),
            volumes=self._volumes(ADMIN_PASSWORD_FILE),
        )
        return ends(job)

    def _start(self) -> Container:
        return self._sandbox.run(
            self._image,
            self.server.command(),
            environment=self._environment,
            volumes=self.volumes(),
            ports={"5000/tcp": ("127.0.0.1", None)},
        )

    def volumes(self) -> list[str]:
        """Return what a replica mounts."""
        return self._volumes(*self._secrets)

    def _volumes(self, *secrets: str) -> list[str]:
        return [
            f"{self._artifacts}:{ARTIFACTS}",
            f"{self._sandbox.secret}:/run/secrets/{PASSWORD_FILE}:ro",
            *(f"{self._folder / secret}:/run/secrets/{secret}:ro" for secret in secrets),
            *(f"{self._folder / Path(path).name}:{path}:ro" for path in self.server.files()),
        ]

    def wait(self) -> None:
        """Wait until each replica is ready by the image's own check."""
        for container in self.containers:
            wait_until(partial(is_ready, container), 120, "the server is ready")

    def url(self, number: int = 0) -> str:
        """Address of a replica on this machine."""
        self.containers[number].reload()
        published: Any = self.containers[number].ports
        return f"http://127.0.0.1:{published['5000/tcp'][0]['HostPort']}"


def is_ready(container: Container) -> bool:
    """Whether the image's own check of readiness succeeds."""
    return execute(container, "ready").returncode == 0
