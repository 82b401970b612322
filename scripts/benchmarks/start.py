"""Start several replicas at once, again and again, on an empty and on an older database.

    python -m scripts.benchmarks.start [--times 20] [--database empty|previous]

Each time there is a fresh database: an empty one, or one that the previous mlflow release made
and wrote a run into. As many schema jobs as replicas start at once, and then 2, 3 or 4 replicas
at once, with the settings of a stack. It counts as good when every job succeeds, every replica
is ready, the older database's run is read through each of them, and no log holds a traceback.

Exit status: 0 every start was good, 1 one was not, 2 it could not run.
"""

import argparse
import json
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import docker
from docker.models.containers import Container

from infra.components.capacity import capacity
from infra.components.secret_files import PASSWORD_FILE
from infra.components.server import PORT as SERVER_PORT
from infra.components.server import Database, TrackingServer
from infra.docker.stores import ARTIFACTS_FOLDER
from tests.images.sandbox import Postgres, Sandbox, build, ends, execute, logs, wait_until

PREVIOUS = "3.16.1"
"""The last release before the pinned minor one."""

REPLICAS = (2, 3, 4)
READY_SECONDS = 180

# By the older release itself: its schema, and what its users would have in it.
_WRITE = """
import mlflow, sys
client = mlflow.MlflowClient(sys.argv[1])
experiment = client.create_experiment("before", artifact_location="mlflow-artifacts:/1")
run = client.create_run(experiment)
client.log_metric(run.info.run_id, "loss", 0.5)
print(run.info.run_id)
"""

_READ = """
import json, sys, urllib.request
asked = urllib.request.Request(
    f"http://127.0.0.1:5000/api/2.0/mlflow/runs/get?run_id={sys.argv[1]}",
    headers={"Host": "localhost"},
)
print(json.load(urllib.request.urlopen(asked, timeout=20))["run"]["data"]["metrics"][0]["value"])
"""


class Lab:
    """PostgreSQL, and the images that are started on it."""

    def __init__(self, client: docker.DockerClient, folder: Path) -> None:
        self.password = secrets.token_hex(16)
        secret = folder / PASSWORD_FILE
        secret.write_text(self.password)
        secret.chmod(0o444)
        self.sandbox = Sandbox(client, secret)
        self.image = build(client, "mlflow")
        self.settings = capacity(replicas=max(REPLICAS), workers=1, jobs=False)
        self.postgres = Postgres(
            self.sandbox,
            build(client, "postgres"),
            *("-c", f"max_connections={self.settings.max_connections}"),
            hostname="postgres",
        )
        wait_until(self.postgres.is_ready, 60, "PostgreSQL is ready")

    def prepare(self, database: str) -> str:
        """Make the template of a kind of database; return the id of the run in it, if any."""
        if database == "empty":
            self.postgres.sql("CREATE DATABASE empty OWNER mlflow", "postgres")
            return ""
        # The server lets the role into the database of its own name only.
        self.reset("template1")
        uri = f"postgresql+psycopg2://mlflow:{self.password}@127.0.0.1:{self.postgres.port}/mlflow"
        uv = shutil.which("uv")
        if uv is None:
            raise FileNotFoundError("uv is missing: . scripts/activate")
        older = [uv, "run", "--no-project", "--isolated", f"--with=mlflow=={PREVIOUS}"]
        done = subprocess.run(
            [*older, "--with=psycopg2-binary", "python", "-W", "ignore", "-c", _WRITE, uri],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.postgres.sql(f"ALTER DATABASE mlflow RENAME TO {database}", "postgres")
        return done.stdout.split()[-1]

    def reset(self, template: str) -> None:
        """Put a fresh copy of a template in the database's place."""
        self.postgres.sql("DROP DATABASE IF EXISTS mlflow WITH (FORCE)", "postgres")
        self.postgres.sql(f"CREATE DATABASE mlflow TEMPLATE {template} OWNER mlflow", "postgres")

    def start(self, replicas: int, run: str) -> str:
        """Start jobs, then replicas; return what went wrong, or nothing."""
        server = TrackingServer(
            database=Database(host="postgres", port=5432, name="mlflow", user="mlflow"),
            artifacts=ARTIFACTS_FOLDER,
            capacity=self.settings,
            port=SERVER_PORT,
            workers=1,
            allowed_hosts=("localhost",),
            jobs=False,
        )
        made: list[Container] = []
        try:
            for _ in range(replicas):
                made.append(self.sandbox.run(self.image, server.schema_job_command()))
            for job in made:
                status, output = ends(job, READY_SECONDS)
                if status != 0:
                    return f"a schema job ended with {status}: {output}"
            servers = [
                self.sandbox.run(self.image, server.command(), environment=server.environment())
                for _ in range(replicas)
            ]
            made += servers
            for replica in servers:
                wait_until(
                    lambda replica=replica: execute(replica, "ready").returncode == 0,  # type: ignore[misc]
                    READY_SECONDS,
                    "the server is ready",
                )
            for replica in servers:
                if "Traceback" in (log := logs(replica)):
                    return log
                if run:
                    read = execute(replica, "python", "-c", _READ, run)
                    if read.stdout.strip() != "0.5":
                        return f"the run of {PREVIOUS} cannot be read: {read.stdout}{read.stderr}"
            return ""
        except AssertionError as error:
            return "\n".join([str(error), *(logs(container)[-2000:] for container in made)])
        finally:
            for container in made:
                container.remove(force=True)


def main() -> int:
    """Start replicas on each kind of database and print how it went."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--times", type=int, default=20, help="starts on each database")
    parser.add_argument("--database", choices=("empty", "previous"), action="append")
    options = parser.parse_args()
    # A termination cleans up, as Ctrl-C does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    client = docker.from_env(timeout=600)
    failed: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        lab = Lab(client, Path(temporary))
        try:
            for database in options.database or ["empty", "previous"]:
                run = lab.prepare(database)
                for number in range(options.times):
                    replicas = REPLICAS[number % len(REPLICAS)]
                    lab.reset(database)
                    began = time.monotonic()
                    wrong = lab.start(replicas, run)
                    print(
                        f"{database:8} {number + 1:3}/{options.times} {replicas} replicas"
                        f" {time.monotonic() - began:5.1f} s  {'FAILED' if wrong else 'good'}",
                        flush=True,
                    )
                    if wrong:
                        failed.append(wrong)
                        print(wrong)
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            print(f"could not run: {error}")
            return 2
        finally:
            lab.sandbox.close()
            client.close()
    print(json.dumps({"previous": PREVIOUS, "failed": len(failed)}))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
