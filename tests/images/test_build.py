"""How images are built: by either builder, without a trace of it, and once for each content."""

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from infra.image import build, registry
from infra.image.context import BuildContext
from tests.images.sandbox import LABEL, wait_until

BASE = "debian:trixie-slim"


@pytest.fixture(params=["BuildKit", "the old builder"], autouse=True)
def builder(
    request: pytest.FixtureRequest, client: docker.DockerClient, monkeypatch: pytest.MonkeyPatch
) -> str:
    monkeypatch.delenv("DOCKER_BUILDKIT", raising=False)
    if request.param == "BuildKit":
        assert build.has_buildkit(client)
    else:
        monkeypatch.setenv("DOCKER_BUILDKIT", "0")
        assert not build.has_buildkit(client)
    return str(request.param)


class Images:
    """Small images of one test, known by a label; all are removed in the end."""

    def __init__(self, client: docker.DockerClient, folder: Path) -> None:
        self.client = client
        self.mark = f"{LABEL}={uuid.uuid4().hex}"
        self.folder = folder

    def context(self, *steps: str) -> BuildContext:
        """The context of an image that is made in two stages; `steps` are those of the first."""
        name = uuid.uuid4().hex[:8]
        folder = self.folder / name
        folder.mkdir()
        lines = [f"FROM {BASE} AS build", f"LABEL {self.mark}", f"RUN echo {name}"]
        lines += [f"RUN {step}" for step in steps]
        lines += [f"FROM {BASE}", f"LABEL {self.mark}", "COPY --from=build /made /", "USER 1:1"]
        (folder / "Dockerfile").write_text("\n".join(lines))
        return BuildContext(folder, f"mlflow-bench/test-build:{name}", BASE)

    def containers(self) -> list[Any]:
        return self.client.containers.list(
            all=True, filters={"label": self.mark}, ignore_removed=True
        )

    def prune(self) -> None:
        """Do `docker image prune`, for the images of this test only."""
        self.client.images.prune(filters={"dangling": True, "label": self.mark})


@pytest.fixture
def images(client: docker.DockerClient, tmp_path: Path) -> Iterator[Images]:
    images = Images(client, tmp_path)
    yield images
    for image in client.images.list(filters={"label": images.mark}):
        for tag in image.tags:
            client.images.remove(tag)

    def none_left() -> bool:
        images.prune()
        return not client.images.list(all=True, filters={"label": images.mark})

    wait_until(none_left, 15, "the images are gone")


def test_a_build_leaves_its_image_and_no_container(
    client: docker.DockerClient, images: Images, builder: str
) -> None:
    context = images.context("touch /made", "chmod 600 /made")
    said: list[str] = []
    found = build.ensure(client, context, said.append)
    assert client.images.get(context.tag).id == found
    assert images.containers() == []
    old = f"{context.tag}: building with the old builder"
    new = f"{context.tag}: building"
    if builder == "BuildKit":
        # An engine whose BuildKit cannot read what it is sent builds with the other.
        assert said in ([new], [new, old])
    else:
        assert said == [old]
    if said == [new]:
        # Its stages are in a cache of its own.
        left = client.images.list(all=True, filters={"label": images.mark})
        assert [image.id for image in left] == [found]


def test_an_image_is_found_by_its_tag_whatever_was_pruned(
    client: docker.DockerClient, images: Images
) -> None:
    context = images.context("touch /made")
    found = build.ensure(client, context)
    images.prune()
    # A build without its Dockerfile would fail.
    (context.path / "Dockerfile").unlink()
    assert build.ensure(client, context) == found


def test_a_failing_build_says_why_and_leaves_no_container(
    client: docker.DockerClient, images: Images
) -> None:
    context = images.context("touch /made", "echo the reason >&2; exit 7")
    with pytest.raises(build.BuildFailedError) as failed:
        build.ensure(client, context)
    first, *rest = str(failed.value).splitlines()
    assert first.startswith(f"{context.tag}: ")
    assert "7" in first
    assert "end of its output:" in rest
    assert any(line.strip() == "the reason" for line in rest)
    assert registry.image_id(client, context.tag) is None
    assert images.containers() == []


def test_a_step_of_our_own_that_refuses_is_the_one_line_that_is_said(
    client: docker.DockerClient, images: Images
) -> None:
    why = "refused: mlflow 9.9.9 does not fit this image: a is missing; and 2 more"
    context = images.context("touch /made", f"echo 'before it'; echo '{why}'; exit 1")
    with pytest.raises(build.BuildFailedError) as failed:
        build.ensure(client, context)
    assert str(failed.value) == f"{context.tag}: {why}"


def test_a_silent_step_is_told_now_and_then(
    client: docker.DockerClient, images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "REPORT_SECONDS", 0.5)
    said: list[str] = []
    build.ensure(client, images.context("touch /made; sleep 3"), said.append)
    assert any("RUN touch /made; sleep 3 (2 s)" in line for line in said), said


def test_a_build_whose_client_is_killed_ends_and_leaves_no_container(
    client: docker.DockerClient, images: Images, builder: str
) -> None:
    context = images.context("touch /made; sleep 60")
    program = (
        "import sys; from pathlib import Path\n"
        "from infra.image import build; from infra.image.context import BuildContext\n"
        "path, tag, base = sys.argv[1:]\n"
        "build.REPORT_SECONDS = 0.2\n"
        "build.ensure(build.connect(), BuildContext(Path(path), tag, base), "
        "lambda line: print(line, flush=True))\n"
    )
    command = [sys.executable, "-c", program, str(context.path), context.tag, BASE]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as killed:
        assert killed.stdout
        for line in killed.stdout:
            if "sleep 60" in line:
                break
        else:
            pytest.fail("the build ended by itself")
        if builder != "BuildKit":
            wait_until(lambda: images.containers() != [], 120, "the build has its container")
        killed.kill()
    wait_until(lambda: images.containers() == [], 120, "the build's container is gone")
    assert registry.image_id(client, context.tag) is None
