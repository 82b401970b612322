"""Images of the project in a registry: pushed, found, pulled, and refused in one line."""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest
import requests

from infra.image import build, registry
from infra.image.context import BuildContext, find_ca_bundle, stage
from scripts.commands import images as images_command
from tests.ports import free_port
from tests.registry import PASSWORD, USER
from tests.registry import registry as run_registry


@pytest.fixture(scope="module")
def nginx(client: docker.DockerClient) -> BuildContext:
    build.build(client, "nginx")
    return stage("nginx", build.BUILD_ROOT, ca_bundle=find_ca_bundle())


@pytest.fixture(scope="module")
def address(client: docker.DockerClient) -> Iterator[str]:
    with run_registry(client) as address:
        yield address


@pytest.fixture(autouse=True)
def no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty configuration of the docker command."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    return tmp_path


def test_what_is_pushed_is_found_and_pulled(
    client: docker.DockerClient,
    nginx: BuildContext,
    address: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    place = f"{address}/a/team"
    reference = nginx.in_registry(place)
    assert registry.missing(client, place, [nginx]) == ["nginx"]
    assert images_command.main(["push", place, "nginx"]) == 0
    assert f"images: {reference}: pushed in " in capsys.readouterr().out
    assert registry.missing(client, place, [nginx]) == []
    assert images_command.main(["push", place, "nginx"]) == 0
    assert f"images: {reference}: is there" in capsys.readouterr().out
    # The name was only for the way there.
    assert registry.image_id(client, reference) is None
    try:
        assert registry.pull(client, reference) == registry.image_id(client, nginx.tag)
    finally:
        client.images.remove(reference, noprune=True)
    assert registry.image_id(client, nginx.tag) is not None


def test_an_image_that_is_here_is_not_asked_for(
    client: docker.DockerClient, nginx: BuildContext
) -> None:
    """A stack that is up can be changed while the registry is away."""
    place = f"127.0.0.1:{free_port()}/team"
    reference = nginx.in_registry(place)
    client.images.get(nginx.tag).tag(*reference.rsplit(":", 1))
    try:
        assert registry.missing(client, place, [nginx]) == []
        assert registry.pull(client, reference) == registry.image_id(client, nginx.tag)
    finally:
        client.images.remove(reference, noprune=True)


def publish_empty(address: str, name: str, tag: str, architecture: str) -> None:
    """Put an image of no layer into a registry, past the engine, which makes its own kind only."""
    place = f"http://{address}/v2/{name}"
    rootfs = {"type": "layers", "diff_ids": []}
    config = json.dumps({"architecture": architecture, "os": "linux", "rootfs": rootfs}).encode()
    digest = f"sha256:{hashlib.sha256(config).hexdigest()}"
    upload = requests.post(f"{place}/blobs/uploads/", timeout=10)
    to = {"digest": digest}
    requests.put(upload.headers["Location"], params=to, data=config, timeout=10).raise_for_status()
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    manifest = {
        "schemaVersion": 2,
        "mediaType": kind,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(config),
            "digest": digest,
        },
        "layers": [],
    }
    requests.put(
        f"{place}/manifests/{tag}",
        data=json.dumps(manifest),
        headers={"Content-Type": kind},
        timeout=10,
    ).raise_for_status()


def test_an_image_for_other_processors_is_refused(
    client: docker.DockerClient, nginx: BuildContext, address: str
) -> None:
    place = f"{address}/elsewhere"
    reference = nginx.in_registry(place)
    own = registry.processor(client)
    other = "arm64" if own == "amd64" else "amd64"
    publish_empty(address, "elsewhere/nginx", reference.rpartition(":")[2], other)
    with pytest.raises(
        registry.RegistryError, match=f"is for {other}, and the engine runs {own}; push from"
    ):
        registry.has(client, reference)


def test_a_registry_that_wants_a_login_is_told_with_the_command(
    client: docker.DockerClient,
    nginx: BuildContext,
    no_login: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with run_registry(client, locked=True) as address:
        refused = f"; see that the name is right, and log in: docker login {address}$"
        with pytest.raises(registry.RegistryError, match=refused):
            registry.missing(client, address, [nginx])
        with pytest.raises(registry.RegistryError, match=refused):
            registry.push(client, nginx, address)
        assert registry.image_id(client, nginx.in_registry(address)) is None

        login = ["docker", "login", "--username", USER, "--password-stdin", address]
        subprocess.run(login, input=PASSWORD.encode(), check=True, capture_output=True)
        assert address in json.loads((no_login / "config.json").read_text())["auths"]
        assert images_command.main(["push", address, "nginx"]) == 0
        assert PASSWORD not in capsys.readouterr().out
        with closing(docker.from_env()) as known:
            assert registry.missing(known, address, [nginx]) == []


def test_what_cannot_be_pulled_is_one_line(client: docker.DockerClient) -> None:
    reference = f"127.0.0.1:{free_port()}/team/image:1"
    with pytest.raises(registry.RegistryError, match="is not here and cannot be pulled") as refused:
        registry.pull(client, reference)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("example.com:5000/a/b:1", "example.com:5000"),
        ("localhost/b:1", "localhost"),
        ("team/b:1", "docker.io"),
        ("b:1", "docker.io"),
    ],
)
def test_where_a_person_logs_in(reference: str, host: str) -> None:
    assert registry.host(reference) == host


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["https://example.com"], "'https://example.com' is not a registry and a path in it;"),
        (["example.com", "ngnix"], "there is no image 'ngnix'; there are minio, mlflow,"),
        (["example.com", "nginx", "--mlflow", "x"], "mlflow is not among the images named"),
        (["example.com", "mlflow", "--mlflow", "/nowhere"], "'/nowhere' does not exist"),
        (
            [f"127.0.0.1:{free_port()}", "nginx"],
            "cannot be looked up .*refused.*; see that 127.0.0.1:",
        ),
    ],
)
def test_what_cannot_be_pushed_is_one_line(
    arguments: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert images_command.main(["push", *arguments]) == images_command.FAILED
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith("images: ")
    assert re.search(reason, said), said
