"""Builds an image of the project and prints its tag: `python -m infra.docker.build toxiproxy`."""

import sys
from contextlib import closing
from pathlib import Path

import docker
from docker.errors import DockerException

from infra.build_context import BuildContextError, find_ca_bundle, stage

BUILD_ROOT = Path(__file__).resolve().parents[2] / ".build"
BUILD_SECONDS = 1800


def build(client: docker.DockerClient, image: str) -> str:
    """Build an image from its staged context, as a stack does; returns its tag.

    Raises `BuildContextError` and Docker's errors.
    """
    context = stage(image, BUILD_ROOT, ca_bundle=find_ca_bundle())
    client.images.build(path=str(context.path), tag=context.tag, rm=True)
    return context.tag


if __name__ == "__main__":
    try:
        with closing(docker.from_env(timeout=BUILD_SECONDS)) as found:
            print(build(found, sys.argv[1]))  # noqa: T201
    except (BuildContextError, DockerException) as error:
        sys.exit(str(error))
