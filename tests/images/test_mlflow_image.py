"""The MLflow image: its server on a prepared database, and what is installed in it."""

import json
import re
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import docker
import docker.errors
import pytest
from docker.models.containers import Container

from infra.image.build import ensure
from infra.image.context import find_ca_bundle, stage
from tests.images.sandbox import PASSWORD, Postgres, Sandbox, ends, execute, logs, wait_until

pytestmark = pytest.mark.plugins

URI = "postgresql+psycopg2://mlflow@{host}:5432/mlflow"
ARTIFACTS = "/var/lib/mlflow/artifacts"


@pytest.fixture(scope="module")
def backend(sandbox: Sandbox, postgres_image: str) -> Postgres:
    """A PostgreSQL server of this module's own, to be paused and stopped."""
    backend = Postgres(sandbox, postgres_image, hostname="backend")
    wait_until(backend.is_ready, 120, "PostgreSQL is ready")
    return backend


@pytest.fixture(scope="module")
def replicas(sandbox: Sandbox, backend: Postgres, mlflow_image: str) -> list[Container]:
    """Two servers, started together on a database that the schema job has just prepared."""
    uri = URI.format(host="backend")
    job = ["schema-job", "--database-uri", uri, "--artifacts-destination", ARTIFACTS]
    status, output = ends(sandbox.run(mlflow_image, job))
    assert status == 0, output
    artifacts = sandbox.volume()
    command = [
        *("mlflow", "server", "--host", "0.0.0.0", "--workers", "1", "--backend-store-uri", uri),
        *("--artifacts-destination", ARTIFACTS),
    ]
    return [
        sandbox.run(
            mlflow_image,
            command,
            environment={
                "MLFLOW_DISABLE_TELEMETRY": "true",
                "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            },
            volumes=[
                f"{artifacts}:{ARTIFACTS}",
                f"{sandbox.secret}:/run/secrets/database-password:ro",
            ],
        )
        for _ in range(2)
    ]


def is_ready(container: Container) -> bool:
    return execute(container, "ready").returncode == 0


def test_servers_find_everything_prepared(backend: Postgres, replicas: list[Container]) -> None:
    before = backend.dump()
    for replica in replicas:
        wait_until(partial(is_ready, replica), 120, "the server answers")
    assert backend.dump() == before
    for replica in replicas:
        assert "Creating initial MLflow database tables" not in logs(replica)


def test_a_run_with_an_artifact_through_the_server(replicas: list[Container]) -> None:
    script = (
        "import mlflow\n"
        "with mlflow.start_run() as run:\n"
        "    mlflow.log_metric('loss', 0.5)\n"
        "    mlflow.log_text('hello', 'note.txt')\n"
        "print(mlflow.artifacts.load_text(run.info.artifact_uri + '/note.txt'))\n"
    )
    wait_until(lambda: is_ready(replicas[0]), 120, "the server answers")
    tracking = "MLFLOW_TRACKING_URI=http://127.0.0.1:5000"
    client = execute(replicas[0], "env", tracking, "python", "-c", script)
    assert client.returncode == 0, client.stderr
    assert "hello" in client.stdout.splitlines()


def test_runs_without_any_privilege(replicas: list[Container]) -> None:
    status = execute(replicas[0], "cat", "/proc/1/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert set(fields["Uid"].split()) == {"10001"}
    assert set(fields["Gid"].split()) == {"10001"}
    assert {int(fields[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert fields["NoNewPrivs"] == "1"
    assert "Read-only file system" in execute(replicas[0], "touch", "/opt/x").stderr


def test_the_password_is_nowhere_to_be_seen(replicas: list[Container]) -> None:
    replica = replicas[0]
    environment = execute(replica, "sh", "-c", "cat /proc/[0-9]*/environ").stdout
    seen = environment + json.dumps(replica.attrs) + str(replica.top()) + logs(replica)
    assert "PGPASSFILE=/tmp/pgpass" in environment
    assert PASSWORD not in seen
    assert json.dumps(PASSWORD)[1:-1] not in seen
    assert execute(replica, "stat", "-c", "%a %U", "/tmp/pgpass").stdout == "600 mlflow\n"


@pytest.mark.parametrize("fault", ["pause", "stop"])
def test_ready_means_that_the_database_answers(
    backend: Postgres, replicas: list[Container], fault: str
) -> None:
    replica = replicas[0]
    wait_until(lambda: is_ready(replica), 120, "the server answers")
    getattr(backend.container, fault)()
    try:
        result = execute(replica, "ready")
        assert result.returncode == 1
        assert result.stdout.startswith("not ready: ")
    finally:
        getattr(backend.container, {"pause": "unpause", "stop": "start"}[fault])()
    wait_until(lambda: is_ready(replica), 120, "the server answers again")


def test_ready_asks_the_given_port(replicas: list[Container]) -> None:
    assert execute(replicas[0], "ready", "5999").returncode != 0


@pytest.mark.parametrize("password", ["", "two\nlines"])
def test_a_bad_password_file_gives_one_line(
    sandbox: Sandbox, mlflow_image: str, tmp_path: Path, password: str
) -> None:
    secret = tmp_path / "password"
    secret.write_text(password)
    status, output = ends(
        sandbox.run(mlflow_image, ["true"], volumes=[f"{secret}:/run/secrets/database-password:ro"])
    )
    assert (status, output) == (
        1,
        "mlflow: /run/secrets/database-password is not one line: write the database's password"
        " there\n",
    )


def test_the_versions_are_the_pinned_ones(sandbox: Sandbox, mlflow_image: str) -> None:
    script = "import importlib.metadata as m; [print(d.name, d.version) for d in m.distributions()]"
    status, output = ends(sandbox.run(mlflow_image, ["python", "-c", script]))
    assert status == 0, output
    requirements = (Path(__file__).parents[2] / "requirements.txt").read_text()
    pins = dict.fromkeys(re.findall(r"(?m)^([\w.-]+==[\w.]+)", requirements))
    installed = {"==".join(line.split()).lower().replace("_", "-") for line in output.splitlines()}
    assert {name.partition("==")[0] for name in installed} >= {"mlflow", "psycopg2-binary", "boto3"}
    ours = {"mlflow-bench-stores==1"}
    assert installed - ours <= {pin.lower().replace("_", "-") for pin in pins}
    absent = "import importlib.util as u; print(u.find_spec('pip'), u.find_spec('setuptools'))"
    assert ends(sandbox.run(mlflow_image, ["python", "-c", absent])) == (0, "None None\n")


def test_the_build_stage_stays_behind(sandbox: Sandbox, mlflow_image: str) -> None:
    """The certificates and scripts of the build host are in the build stage alone."""
    names = ("entrypoint", "ca-bundle.crt", "constraints.txt", "install-packages")
    search = " -o ".join(f"-name {name}" for name in names)
    find = f"find / -xdev {search} 2>/dev/null; test ! -e /build && echo no build"
    found = ends(sandbox.run(mlflow_image, ["sh", "-c", find]))[1]
    assert found.splitlines() == ["/usr/local/bin/entrypoint", "no build"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wheel", "folder"])
def test_an_own_mlflow_is_what_gets_installed(
    client: docker.DockerClient, sandbox: Sandbox, tmp_path: Path, kind: str
) -> None:
    context = stage(
        "mlflow",
        tmp_path / "build",
        ca_bundle=find_ca_bundle(),
        mlflow_source=own_mlflow(tmp_path, kind),
    )
    ensure(client, context)
    try:
        script = "import mlflow, mlflow.version; print(mlflow.version.OWN, mlflow.__file__)"
        container = sandbox.run(context.tag, ["python", "-c", script])
        assert ends(container)[1].startswith("yes /opt/mlflow/")
        container.remove()
    finally:
        client.images.remove(context.tag)


def own_mlflow(folder: Path, kind: str) -> Path:
    """The pinned mlflow as the registry serves it, with one line more in one of its modules."""
    requirements = (Path(__file__).parents[2] / "requirements.txt").read_text()
    pin = next(line for line in requirements.splitlines() if line.startswith("mlflow=="))
    form = ["--only-binary", "mlflow"] if kind == "wheel" else ["--no-binary", "mlflow"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", *form, pin]
    subprocess.run(command, cwd=folder, check=True)
    (archive,) = folder.glob("mlflow-*")
    shutil.unpack_archive(archive, folder / "own", "zip" if kind == "wheel" else "gztar")
    (version,) = folder.glob("own/**/mlflow/version.py")
    version.write_text(version.read_text() + '\nOWN = "yes"\n')
    if kind == "folder":
        return version.parents[1]
    archive.unlink()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as wheel:
        for file in sorted((folder / "own").rglob("*")):
            wheel.write(file, file.relative_to(folder / "own"))
    return archive
