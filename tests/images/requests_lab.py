"""Servers on each kind of artifact store, and plain MLflow, for requests that go wrong."""

import http.client
import io
import json
import tarfile
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote

from docker.models.containers import Container

from infra.components import nginx
from infra.components.capacity import capacity
from infra.components.server import ArtifactFolder, Database, S3Bucket, TrackingServer
from infra.docker.artifact_mount import FUSE_CAPABILITIES
from infra.docker.nfs import EXPORT
from tests.images.nfs import NfsServer
from tests.images.object_store import BUCKET, MINIO, PASSWORD, USER, ObjectStore, write_secrets
from tests.images.sandbox import Postgres, Sandbox, build, ends, execute, wait_until

ROUTE = "/api/2.0/mlflow-artifacts/artifacts"
FOLDER = PurePosixPath("/var/lib/mlflow/artifacts")
KEYS = PurePosixPath("/run/secrets/aws-credentials")
SIZES = capacity(replicas=4, workers=1, jobs=False)
DATABASE = Database(host="requests", port=5432, name="mlflow", user="mlflow")
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    """With names in lower case."""
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def message(self) -> str:
        """What MLflow's client would show of an error."""
        return str(self.json["message"])

    @property
    def listed(self) -> list[tuple[str, bool]]:
        """Names in a listing, and whether each is a folder."""
        return [(one["path"], one["is_dir"]) for one in self.json.get("files", [])]


@dataclass(frozen=True)
class Place:
    """An address that takes requests."""

    container: Container

    @property
    def port(self) -> int:
        self.container.reload()
        published: Any = self.container.ports
        [binding] = [one[0] for one in published.values() if one]
        return int(binding["HostPort"])

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
    ) -> Answer:
        """Send a request with its path as it is; clients would tidy it up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.putrequest(method, path, skip_host=bool(headers and "Host" in headers))
            for name, value in (headers or {}).items():
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answer(answer.status, found, answer.read())
        finally:
            connection.close()

    def put(self, name: str, content: bytes = b"content") -> Answer:
        return self.send("PUT", f"{ROUTE}/{name}", content)

    def get(self, name: str, **headers: str) -> Answer:
        asked = {key.replace("_", "-"): value for key, value in headers.items()}
        return self.send("GET", f"{ROUTE}/{name}", headers=asked)

    def list(self, folder: str) -> Answer:
        return self.send("GET", f"{ROUTE}?path={quote(folder, safe='')}")

    def call(self, path: str, content: Any) -> Answer:
        """Post JSON, or bytes as they are."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        return self.send("POST", f"/api/{path}", body, JSON)

    def new_run(self) -> str:
        made = self.call("2.0/mlflow/runs/create", {"experiment_id": "0"})
        return str(made.json["run"]["info"]["run_id"])

    def is_ready(self) -> bool:
        try:
            return self.send("GET", "/version").status == 200
        except (OSError, http.client.HTTPException):
            return False


class Lab:
    """One database, three kinds of store, a server of ours on each, and plain MLflow."""

    def __init__(self, sandbox: Sandbox, mlflow: str, folder: Path) -> None:
        self._sandbox = sandbox
        self._mlflow = mlflow
        client = sandbox.client
        connections = f"max_connections={SIZES.max_connections + 20}"
        images = {name: build(client, name) for name in ("postgres", "minio", "nfs", "nginx")}
        postgres = Postgres(sandbox, images["postgres"], "-c", connections, hostname="requests")
        secrets = write_secrets(folder / "store")
        self.store = ObjectStore(
            sandbox, MINIO, images["minio"], secrets, hostname="requests-store"
        )
        nfs = NfsServer(sandbox, images["nfs"], host="requests-nfs")
        self._keys = folder / "aws-credentials"
        self._keys.write_text(
            f"[default]\naws_access_key_id = {USER}\naws_secret_access_key = {PASSWORD}\n"
        )
        self._keys.chmod(0o444)
        wait_until(postgres.is_ready, 120, "PostgreSQL is ready")
        server = _server(ArtifactFolder(FOLDER))
        status, output = ends(sandbox.run(mlflow, server.schema_job_command()), 120)
        assert status == 0, output
        self.store.wait()
        nfs.wait()
        self.postgres = postgres
        self.places = {
            "s3": self._start(_bucket()),
            "volume": self._start(server, volumes=[f"{sandbox.volume()}:{FOLDER}"]),
            "nfs": self._start(
                server,
                user="0:0",
                init=True,
                cap_add=list(FUSE_CAPABILITIES),
                devices=["/dev/fuse"],
                environment={"NFS_SERVER": nfs.host, "NFS_EXPORT": EXPORT},
            ),
            "plain": self._start(server, plain=True, volumes=[f"{sandbox.volume()}:{FOLDER}"]),
        }
        self.places["nginx"] = self._balancer(images["nginx"], self.places["s3"])
        with ThreadPoolExecutor() as threads:
            list(threads.map(_wait, self.places.values()))

    def _start(self, server: TrackingServer, *, plain: bool = False, **options: Any) -> Place:
        command, environment = server.command(), server.environment()
        if plain:
            command = [part for part in command if not part.startswith("--app-name")]
            environment["PYTHONPATH"] = ""
        return Place(
            self._sandbox.run(
                self._mlflow,
                command,
                environment=environment | options.pop("environment", {}),
                ports={"5000/tcp": ("127.0.0.1", None)},
                volumes=[
                    f"{self._sandbox.secret}:/run/secrets/database-password:ro",
                    f"{self._keys}:{KEYS}:ro",
                    *options.pop("volumes", []),
                ],
                **options,
            )
        )

    def _balancer(self, image: str, replica: Place) -> Place:
        """Start nginx as a stack does, before one replica."""
        replica.container.reload()
        networks: Any = replica.container.attrs["NetworkSettings"]["Networks"]
        address = IPv4Address(networks[self._sandbox.network.name]["IPAddress"])
        text = nginx.configuration((nginx.Replica(address, 5000, "one"),)).encode()
        file = PurePosixPath(nginx.CONFIGURATION_FILE)
        volume = self._sandbox.volume()
        entry = tarfile.TarInfo(file.name)
        entry.size, entry.mode = len(text), 0o444
        stream = io.BytesIO()
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(entry, io.BytesIO(text))
        # It looks for its configuration until it is there.
        command = f"until test -s {file}; do sleep 0.1; done; exec entrypoint"
        container = self._sandbox.run(
            image,
            ["-c", command],
            entrypoint=["bash"],
            ports={f"{nginx.PORT}/tcp": ("127.0.0.1", None)},
            volumes=[f"{volume}:{file.parent}"],
        )
        wait_until(lambda: execute(container, "true").returncode == 0, 120, "nginx runs")
        container.put_archive(str(file.parent), stream.getvalue())
        return Place(container)


def _server(artifacts: ArtifactFolder | S3Bucket) -> TrackingServer:
    return TrackingServer(
        database=DATABASE,
        artifacts=artifacts,
        capacity=SIZES,
        port=5000,
        workers=1,
        allowed_hosts=(),
        jobs=False,
    )


def _bucket() -> TrackingServer:
    endpoint = "http://requests-store:9000"
    return _server(S3Bucket(BUCKET, "us-east-1", endpoint, credentials_file=KEYS))


def _wait(place: Place) -> None:
    wait_until(place.is_ready, 240, "the server answers")
