"""A stack on somebody else's bucket and database: it uses them, and leaves them as they are."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

import docker
import pytest
from mlflow import MlflowClient

from tests.e2e import garbage
from tests.e2e.stack import Stack, end, new_stack, train
from tests.images.object_store import BUCKET, MINIO, ObjectStore, write_secrets
from tests.images.object_store import PASSWORD as SECRET_KEY
from tests.images.object_store import USER as ACCESS_KEY
from tests.images.sandbox import PASSWORD, Postgres, Sandbox, build, certificate, wait_until

pytestmark = pytest.mark.e2e

NAME = "e2e-external"
PREFIX = "team/mlflow"


@dataclass
class Services:
    """What a person has already: a bucket and a database, at an address of this machine."""

    store: ObjectStore
    database: Postgres
    authority: Path
    """Certificate of the database, that its clients trust."""

    @property
    def url(self) -> str:
        place = f"{self.database.host}:{self.database.port}"
        return f"postgresql://mlflow:{quote(PASSWORD, safe='')}@{place}/mlflow"

    def artifacts(self, **changes: str) -> dict[str, str]:
        return {
            "kind": "s3",
            "bucket": BUCKET,
            "endpoint": self.store.endpoint,
            "access_key": ACCESS_KEY,
            "prefix": PREFIX,
        } | changes

    def objects(self) -> list[str]:
        listing = self.store.client().list_objects_v2(Bucket=BUCKET)
        return [entry["Key"] for entry in listing.get("Contents", [])]


@pytest.fixture(scope="module")
def services(
    docker_client: docker.DockerClient, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Services]:
    folder = tmp_path_factory.mktemp("services")
    password = folder / "database-password"
    password.write_text(PASSWORD)
    password.chmod(0o444)
    pool, *_ = docker_client.networks.get("bridge").attrs["IPAM"]["Config"]
    # Containers of every network reach this address of the machine. An engine that was never
    # started again does not name it: it is the first of the network.
    host = pool.get("Gateway") or str(next(ip_network(pool["Subnet"]).hosts()))
    sandbox = Sandbox(docker_client, password)
    try:
        image = build(docker_client, "postgres")
        database = Postgres(sandbox, image, "-c", "max_connections=220", host=host)
        secrets = write_secrets(folder / "secrets")
        store = ObjectStore(sandbox, MINIO, build(docker_client, "minio"), secrets, host=host)
        wait_until(database.is_ready, 120, "PostgreSQL is ready")
        authority = certificate(folder, f"IP:{host}")
        database.use_tls(authority)
        yield Services(store.wait(), database, authority)
    finally:
        sandbox.close()


@pytest.fixture(scope="module")
def stack(
    tmp_path_factory: pytest.TempPathFactory, docker_client: docker.DockerClient
) -> Iterator[Stack]:
    stack = new_stack(NAME, tmp_path_factory.mktemp("external"))
    try:
        yield stack
    finally:
        end(stack, docker_client)


@pytest.fixture(scope="module")
def deployed(stack: Stack, services: Services) -> dict[str, Any]:
    strict = {"ssl_mode": "verify-full", "ca": str(services.authority)}
    stack.configure(artifacts=services.artifacts(), database=strict)
    stack.set_secret("artifacts.secret_key", SECRET_KEY)
    stack.set_secret("database.url", services.url)
    said = stack.run("up", "--yes", "--skip-preview", "--diff")
    assert "uploads" in said, "every input is shown"
    assert not seen(said)
    return stack.outputs()


def seen(text: str) -> list[str]:
    """Return the secrets of the services that stand in a text, as they are or inside JSON."""
    secrets = (SECRET_KEY, PASSWORD, quote(PASSWORD, safe=""))
    return [one for one in secrets if one in text or json.dumps(one)[1:-1] in text]


def test_services_that_cannot_be_used_are_refused_at_preview(
    stack: Stack, services: Services, docker_client: docker.DockerClient
) -> None:
    endpoint = services.store.endpoint.replace(services.store.host, "localhost")
    stack.configure(
        artifacts=services.artifacts(endpoint=endpoint),
        database={"ssl_mode": "prefer"},
    )
    stack.set_secret("artifacts.secret_key", SECRET_KEY)
    stack.set_secret("database.url", services.url.replace("mlflow:", "nobody:"))
    said = stack.run("preview", ok=False)
    assert "artifacts.endpoint: localhost leads a server's container to itself" in said
    assert f"database: 'mlflow' at {services.database.host}:{services.database.port}: " in said
    assert not seen(said)
    assert stack.left(docker_client) == []


def test_a_real_client_trains_and_the_bucket_has_its_model(
    deployed: dict[str, Any], services: Services
) -> None:
    run = train(deployed["tracking_uri"])
    found = services.objects()
    assert any(key.endswith("/model.pkl") for key in found), found
    assert all(key.startswith(f"{PREFIX}/") for key in found), found
    assert services.database.sql(f"SELECT status FROM runs WHERE run_uuid = '{run}'") == "FINISHED"


def test_what_was_deleted_is_removed_from_both_services_and_nothing_else(
    stack: Stack, deployed: dict[str, Any], services: Services
) -> None:
    somebody_elses = "team/other.txt"
    services.store.client().put_object(Bucket=BUCKET, Key=somebody_elses, Body=b"theirs")
    before = services.objects()
    client = MlflowClient(deployed["tracking_uri"])
    run = garbage.log_run(client, "0")
    client.delete_run(run)
    assert services.objects() != before
    removed = garbage.collected(stack)
    assert (removed["runs"], removed["artifacts"]) == ("1", "1")
    assert services.objects() == before
    assert somebody_elses in before
    assert services.database.sql(f"SELECT count(*) FROM runs WHERE run_uuid = '{run}'") == "0"


def test_the_stack_brings_no_store_of_its_own(
    deployed: dict[str, Any], docker_client: docker.DockerClient, services: Services
) -> None:
    target = deployed["target"]
    assert [component["kind"] for component in target["components"]] == ["mlflow"]
    assert target["artifacts"] == "s3"
    assert target["artifact_store"]["uri"] == f"s3://{BUCKET}/{PREFIX}"
    assert target["artifact_store"]["endpoint"] == services.store.endpoint
    assert target["backend_store"]["port"] == services.database.port


def test_no_secret_shows(
    stack: Stack, deployed: dict[str, Any], docker_client: docker.DockerClient
) -> None:
    places = stack.exposed(docker_client) | {
        "stack file": stack.config_file.read_text(),
        "outputs": stack.run("stack", "output", "--json"),
    }
    assert len(places) >= 8
    assert {place: seen(text) for place, text in places.items() if seen(text)} == {}


def test_destroy_leaves_both_untouched(
    stack: Stack,
    deployed: dict[str, Any],
    services: Services,
    docker_client: docker.DockerClient,
) -> None:
    objects = services.objects()
    runs = services.database.sql("SELECT count(*) FROM runs")
    assert objects
    stack.destroy()
    assert stack.left(docker_client) == []
    assert services.objects() == objects
    assert services.database.sql("SELECT count(*) FROM runs") == runs
