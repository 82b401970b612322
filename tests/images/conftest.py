"""The images, built as a stack builds them, and a PostgreSQL server that the tests share.

The images stay: their tags are those that a stack of this checkout gives, so they are the build
cache of both.
"""

from collections.abc import Iterator
from pathlib import Path

import docker
import pytest

from tests.images.object_store import ENGINES, ObjectStore, write_secrets
from tests.images.sandbox import PASSWORD, Postgres, Sandbox, build, wait_until


@pytest.fixture(scope="session")
def client() -> Iterator[docker.DockerClient]:
    client = docker.from_env(timeout=600)
    yield client
    client.close()


@pytest.fixture(scope="session")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that is mounted as the database's password."""
    file = tmp_path_factory.mktemp("secret") / "database-password"
    file.write_text(PASSWORD)
    file.chmod(0o444)
    return file


@pytest.fixture(scope="session")
def sandbox(client: docker.DockerClient, secret: Path) -> Iterator[Sandbox]:
    sandbox = Sandbox(client, secret)
    try:
        yield sandbox
    finally:
        sandbox.close()


@pytest.fixture(scope="session")
def postgres_image(client: docker.DockerClient) -> str:
    return build(client, "postgres")


@pytest.fixture(scope="session")
def mlflow_image(client: docker.DockerClient) -> str:
    return build(client, "mlflow")


@pytest.fixture(scope="session")
def server(sandbox: Sandbox, postgres_image: str) -> Postgres:
    """A PostgreSQL server that the tests share; each takes its `database` afresh."""
    server = Postgres(sandbox, postgres_image, hostname="postgres")
    wait_until(server.is_ready, 120, "PostgreSQL is ready")
    return server


@pytest.fixture(scope="session", params=ENGINES, ids=lambda engine: engine.name)
def store(
    request: pytest.FixtureRequest,
    sandbox: Sandbox,
    client: docker.DockerClient,
    tmp_path_factory: pytest.TempPathFactory,
) -> ObjectStore:
    """An object store of each engine that the tests share; its user's bucket only grows."""
    engine = request.param
    image = build(client, engine.name)
    secrets = write_secrets(tmp_path_factory.mktemp("secrets") / engine.name)
    return ObjectStore(sandbox, engine, image, secrets).wait()
