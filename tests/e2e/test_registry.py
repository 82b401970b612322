"""Stacks whose images come from a registry, from the first refusal to their end."""

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import docker
import pytest

from infra.image import build
from infra.image.context import BuildContext, find_ca_bundle, stage
from infra.image.registry import image_id
from infra.specification.cluster import TEST_CONTEXT
from scripts.commands import images as images_command
from scripts.offline.test_cluster import images
from tests.e2e.stack import Stack, end, new_stack
from tests.kubernetes_cluster import get, reaching, running
from tests.ports import free_port
from tests.registry import inside, registry

pytestmark = pytest.mark.e2e

LOCAL = ("mlflow", "postgres")
K8S = ("minio", "mlflow", "nginx", "postgres")


@pytest.fixture(scope="module")
def address(docker_client: docker.DockerClient) -> Iterator[str]:
    with registry(docker_client) as address:
        yield address


@pytest.fixture
def stack(tmp_path: Path, docker_client: docker.DockerClient) -> Iterator[Stack]:
    stack = new_stack("e2e-registry", tmp_path)
    try:
        yield stack
    finally:
        end(stack, docker_client)


def context(name: str) -> BuildContext:
    return stage(name, build.BUILD_ROOT, ca_bundle=find_ca_bundle())


def test_on_docker(stack: Stack, docker_client: docker.DockerClient, address: str) -> None:
    place = f"{address}/docker"
    stack.configure(image_registry=place)
    said = stack.run("preview", ok=False)
    assert f"push: scripts/images push {place} mlflow postgres\n" in said
    assert stack.left(docker_client) == []

    assert images_command.main(["push", place, *LOCAL]) == 0
    references = {name: context(name).in_registry(place) for name in LOCAL}
    assert [image_id(docker_client, one) for one in references.values()] == [None, None]
    try:
        stack.up()
        images = {one["kind"]: one["image"] for one in stack.outputs()["target"]["components"]}
        assert images == {
            name: image_id(docker_client, reference) for name, reference in references.items()
        }
        stack.run("preview", "--expect-no-changes")
        stack.run("refresh", "--yes", "--expect-no-changes")
        # One that was removed here is pulled again.
        docker_client.images.remove(references["mlflow"], noprune=True)
        stack.up()
        stack.run("preview", "--expect-no-changes")
        assert image_id(docker_client, references["mlflow"]) == images["mlflow"]
    finally:
        stack.destroy()
        for reference in references.values():
            if image_id(docker_client, reference) is not None:
                docker_client.images.remove(reference, noprune=True)


def test_an_image_that_cannot_be_had_is_told_without_a_traceback(stack: Stack) -> None:
    port = free_port()
    stack.configure(base_image=f"127.0.0.1:{port}/debian:1")
    said = stack.up(ok=False)
    assert f"127.0.0.1:{port}/debian:1: is not here and cannot be pulled" in said
    stack.configure(postgres_image=f"127.0.0.1:{port}/postgres:1")
    said = stack.up(ok=False)
    assert f"127.0.0.1:{port}/postgres:1: is not here and cannot be pulled" in said


@pytest.mark.thorough
def test_on_kubernetes(stack: Stack, docker_client: docker.DockerClient, address: str) -> None:
    place = f"{address}/k8s"
    port = int(address.rpartition(":")[2])
    with running(), reaching(port, inside(docker_client, address)):
        stack.configure(
            platform="kubernetes",
            artifacts="s3",
            image_registry=place,
            kubernetes={"context": TEST_CONTEXT, "namespace": "e2e-registry", "max_replicas": 1},
        )
        said = stack.run("preview", ok=False)
        assert "push: scripts/images push" in said
        assert images_command.main(["push", place, *K8S]) == 0
        references = {context(name).in_registry(place) for name in K8S}
        try:
            stack.up()
            pods = get("pods", "e2e-registry")
            used = {one["image"] for pod in pods for one in pod["spec"]["containers"]}
            assert used == references
            components = stack.outputs()["target"]["components"]
            assert {one["image"] for one in components} == references
            stack.run("preview", "--expect-no-changes")
            # They went from the registry to the node, past this machine's Docker.
            with closing(docker.from_env()) as client:
                assert [image_id(client, one) for one in references] == [None] * len(K8S)
        finally:
            stack.destroy()
            pulled = [name for name in images.references() if name.startswith(place)]
            subprocess.run([*images.CTR, "images", "rm", *pulled], check=True, capture_output=True)
