"""The `mlflow server` command as a typed value: a wrong combination cannot be written.

A server started with the wrong backend store or artifact root is accepted by MLflow and
leaves experiments that point at the wrong place for good. So there is one way to say where
data goes: artifacts are always proxied by the server (`--serve-artifacts`), the experiments'
artifact root is always `mlflow-artifacts:/`, and the destination is a value of its own type
that the schema job has compared with the one recorded in the database.
"""

from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import quote, urlencode

from infra.components.capacity import REQUESTS_AT_ONCE, Capacity
from infra.components.secret_files import SECRETS_FOLDER, TLS_CERTIFICATE_FILE, TLS_KEY_FILE
from infra.components.traces import ARCHIVAL_FILE, CONNECTIONS, NEVER, Traces
from infra.components.users import Users

PORT = 5000
"""Port of the tracking server inside its container."""

TLS_NAME = "mlflow-replica"
"""What the certificate of every replica is for: nginx knows them by address, or by whatever a name
resolves to, and asks each for this one."""

KEEP_ALIVE_SECONDS = 75
"""Idle time of a connection; above any proxy's, so that a proxy never reuses a dead one."""

WORKER_PING_SECONDS = 60
"""How long a busy worker may miss uvicorn's ping; the default of 5 s kills working ones."""

SPOOL_FOLDER = "/var/tmp"
"""Where MLflow keeps an upload until it is stored: a disk, as a tmpfs would take memory for it."""

METRICS_FOLDER = "/tmp/metrics"
"""What the workers of a replica count in; made empty by the image when it starts."""

CONNECTION = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
"""How soon a database that is gone without a word is noticed (libpq: s, but the last, ms). By the
kernel's own limits, a request waits two minutes for a connection that nobody answers, and a
quarter of an hour for data that nobody takes. A database that is only slow is not given up."""


LOCAL_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""Names of this machine for its own clients, which every server answers to."""


@dataclass(frozen=True)
class Database:
    """Where the backend store is. It holds no password: libpq reads that from a file."""

    host: str
    port: int
    name: str
    user: str
    ssl_mode: str | None = None
    """In libpq's words; None: its default."""
    ca_file: PurePosixPath | None = None
    """Certificates that `verify-ca` and `verify-full` trust."""

    @property
    def uri(self) -> str:
        """SQLAlchemy URI, with the driver named: a bare `postgresql://` is psycopg 3."""
        user, name = quote(self.user, safe=""), quote(self.name, safe="")
        host = f"[{self.host}]" if ":" in self.host else self.host
        parameters = {"sslmode": self.ssl_mode, "sslrootcert": self.ca_file, **CONNECTION}
        options = urlencode({key: value for key, value in parameters.items() if value}, safe="/")
        return f"postgresql+psycopg2://{user}@{host}:{self.port}/{name}?{options}"


@dataclass(frozen=True)
class ArtifactFolder:
    """An artifact store on a mounted file system, at `path` inside the server."""

    path: PurePosixPath
    service: str | None = None
    """Whose folder it is, an address; None: a volume of the stack."""

    @property
    def uri(self) -> str:
        """Destination as MLflow and the schema job write it."""
        return f"file://{self.path}"

    def environment(self) -> dict[str, str]:
        """Return what the server needs to reach it: nothing."""
        return {}


@dataclass(frozen=True)
class S3Bucket:
    """An artifact store in a bucket, or in its folder `prefix`."""

    bucket: str
    region: str
    endpoint: str | None = None
    """`http[s]://host[:port]`; None: AWS S3."""
    prefix: str | None = None
    credentials_file: PurePosixPath | None = None
    """What the keys are read from, in AWS's format; None: the machine's role."""
    ca_file: PurePosixPath | None = None
    """Certificates that the endpoint's is checked with; None: the usual ones."""
    service: str | None = None
    """Whose bucket it is, an address; None: the stack's own."""
    presigned_endpoint: str | None = None
    """Address of the store for clients, who then get presigned URLs; None: they get none."""

    @property
    def uri(self) -> str:
        """Destination as MLflow and the schema job write it."""
        return f"s3://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    def environment(self) -> dict[str, str]:
        """Return the variables that MLflow and boto3 find the bucket by; none is secret."""
        variables = {"AWS_DEFAULT_REGION": self.region}
        if self.endpoint is not None:
            variables["MLFLOW_S3_ENDPOINT_URL"] = self.endpoint
        if self.credentials_file is not None:
            variables["AWS_SHARED_CREDENTIALS_FILE"] = str(self.credentials_file)
        if self.ca_file is not None:
            variables["AWS_CA_BUNDLE"] = str(self.ca_file)
        if self.presigned_endpoint is not None:
            variables["MLFLOW_BENCH_PRESIGNED_ENDPOINT"] = self.presigned_endpoint
        return variables


@dataclass(frozen=True)
class TrackingServer:
    """Everything that decides how one replica of `mlflow server` behaves."""

    database: Database
    artifacts: ArtifactFolder | S3Bucket
    capacity: Capacity
    port: int
    workers: int
    allowed_hosts: tuple[str, ...]
    jobs: bool
    metrics: bool = False
    """Whether each replica tells its figures at `/metrics`, in Prometheus' format."""
    traces: Traces = field(default_factory=Traces)
    users: Users | None = None
    """None: nobody is asked who they are."""
    tls: bool = False
    """Whether it speaks TLS, and nothing else, with the certificate among its secrets."""
    workspaces: bool = False
    """Whether what teams have is kept apart by MLflow's workspaces."""

    def command(self) -> list[str]:
        """Return the arguments of the server's process, the first being the program."""
        return [
            "mlflow",
            "server",
            "--app-name=mlflow-bench",
            "--host=0.0.0.0",
            f"--port={self.port}",
            f"--workers={self.workers}",
            f"--backend-store-uri={self.database.uri}",
            "--serve-artifacts",
            f"--artifacts-destination={self.artifacts.uri}",
            "--default-artifact-root=mlflow-artifacts:/",
            f"--allowed-hosts={','.join(self._host_patterns())}",
            f"--cors-allowed-origins={','.join(self._origins())}",
            f"--uvicorn-opts=--timeout-keep-alive {KEEP_ALIVE_SECONDS}"
            f" --timeout-worker-healthcheck {WORKER_PING_SECONDS}{self._tls_options()}",
            *([f"--trace-archival-config={ARCHIVAL_FILE}"] if self._archival() else []),
        ]

    def _tls_options(self) -> str:
        if not self.tls:
            return ""
        certificate, key = (
            f"{SECRETS_FOLDER}/{name}" for name in (TLS_CERTIFICATE_FILE, TLS_KEY_FILE)
        )
        return f" --ssl-certfile {certificate} --ssl-keyfile {key}"

    def files(self) -> dict[str, str]:
        """Return the files that the server reads, by path; nothing in them is secret."""
        users = self.users.files(self.database.uri) if self.users else {}
        return {**self._archival(), **users}

    def _archival(self) -> dict[str, str]:
        # The replica with MLflow's own periodic tasks would archive, too, if it knew how.
        return {} if self.jobs else self.traces.files(self.artifacts.uri)

    def environment(self) -> dict[str, str]:
        """Return the server's environment; nothing in it is secret."""
        jobs = str(self.jobs).lower()
        return {
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(self.capacity.pool_size),
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(self.capacity.max_overflow),
            "MLFLOW_BENCH_REQUESTS_AT_ONCE": str(REQUESTS_AT_ONCE),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": jobs,
            "MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS": jobs,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            **({"PROMETHEUS_MULTIPROC_DIR": METRICS_FOLDER} if self.metrics else {}),
            # By itself MLflow sends judges to 0.0.0.0, a name that the server does not take.
            **({"MLFLOW_GATEWAY_URI": f"http://localhost:{self.port}"} if self.jobs else {}),
            **self._rollups(NEVER),
            **self.artifacts.environment(),
            **(self.users.environment() if self.users else {}),
            **self._workspaces(),
        }

    def schema_job_command(self) -> list[str]:
        """Return the job that must succeed before a server with these settings starts."""
        command = [
            "schema-job",
            f"--database-uri={self.database.uri}",
            f"--artifacts-destination={self.artifacts.uri}",
        ]
        if self.artifacts.service is not None:
            command.append(f"--artifacts-service={self.artifacts.service}")
        if self.traces.rollups:
            command.append("--trace-rollups")
        if self.users:
            command.append("--users")
        if self.workspaces:
            command.append("--workspaces")
        return command

    def trace_jobs_command(self) -> list[str]:
        """Return what does the work of `traces`, once in a deployment."""
        after = self.traces.delete_after
        return [
            "trace-jobs",
            f"--database-uri={self.database.uri}",
            *([f"--delete-after={after}"] if after else []),
        ]

    def trace_jobs_files(self) -> dict[str, str]:
        """Return the files that the trace jobs read, by path."""
        return self.traces.files(self.artifacts.uri)

    def trace_jobs_environment(self) -> dict[str, str]:
        """Return the environment of the trace jobs; nothing in it is secret."""
        archives = {"MLFLOW_TRACE_ARCHIVAL_CONFIG": str(ARCHIVAL_FILE)}
        return {
            "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(CONNECTIONS - 2),
            "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": "2",
            "MLFLOW_TRACE_ROLLUPS_MAX_WORKERS": "2",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "DO_NOT_TRACK": "true",
            **(archives if self.trace_jobs_files() else {}),
            **self._rollups(self.traces.rollup_schedule),
            **self.artifacts.environment(),
            **self._workspaces(),
        }

    def _workspaces(self) -> dict[str, str]:
        return {"MLFLOW_ENABLE_WORKSPACES": "true"} if self.workspaces else {}

    def _rollups(self, schedule: str) -> dict[str, str]:
        if not self.traces.rollups:
            return {}
        return {
            "MLFLOW_SQL_TRACE_ROLLUPS_ENABLED": "true",
            "MLFLOW_TRACE_ROLLUPS_SCHEDULE": schedule,
        }

    def _host_patterns(self) -> list[str]:
        # MLflow compares the Host header with its port, so each name is listed both ways. It comes
        # in lower case (the image's server); in a pattern, but not without one, [ has a meaning.
        hosts = dict.fromkeys(host.lower() for host in (*LOCAL_HOSTS, *self.allowed_hosts))
        return [pattern for host in hosts for pattern in (host, f"{host.replace('[', '[[]', 1)}:*")]

    def _origins(self) -> list[str]:
        return [
            f"{scheme}://{pattern}"
            for scheme in ("http", "https")
            for pattern in self._host_patterns()
        ]
