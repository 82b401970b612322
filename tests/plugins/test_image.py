"""`docker.Image` and `docker.RemoteImage` under the real engine."""

from pathlib import Path

import docker
import pytest

from tests.plugins.project import IMAGE, Project

pytestmark = pytest.mark.plugins

PROGRAM = """
image = docker.Image(
    "image",
    image_name={name!r},
    build=docker.DockerBuildArgs(
        context=os.path.join(HERE, "context"),
        dockerfile=os.path.join(HERE, "context", "Dockerfile"),
        args={{"WHO": pulumi.Output.secret("somebody-secret")}},
        builder_version=docker.BuilderVersion.BUILDER_V1,
        target="wanted",
        add_hosts=["somewhere:192.0.2.9"],
        network="default",
    ),
    skip_push=True,
)
"""
DOCKERFILE = f"""\
FROM {IMAGE} AS wanted
ARG WHO
COPY . /context
RUN grep "192.0.2.9.*somewhere" /etc/hosts && echo built for $WHO
FROM {IMAGE}
RUN exit 1
"""


@pytest.fixture
def context(tmp_path: Path) -> Path:
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text(DOCKERFILE)
    (folder / ".dockerignore").write_text("# not for the image\n*.log\n")
    (folder / "file").write_text("first")
    (folder / "some.log").write_text("first")
    return folder


def test_life_cycle(project: Project, docker_client: docker.DockerClient, context: Path) -> None:
    name = project.name("image") + ":1"
    preview = project.preview(PROGRAM.format(name=name))
    assert preview.ops["image"] == "create"
    assert docker_client.images.list(name) == []
    now = PROGRAM.replace("skip_push", "build_on_preview=True, skip_push")
    project.preview(now.format(name=name))
    assert docker_client.images.list(name) != []

    project.up(PROGRAM.format(name=name))
    built = docker_client.images.get(name)
    outputs = project.outputs("image")
    assert outputs["repoDigest"] == built.id
    assert outputs["imageName"] == outputs["baseImageName"] == name
    assert outputs["dockerfile"] == "Dockerfile"
    assert "somebody-secret" not in project.raw_state
    files = docker_client.containers.run(name, "ls /context", remove=True).decode().split()
    assert files == ["Dockerfile", "file"]

    assert project.up().changed == {}
    (context / "some.log").write_text("second")
    assert project.up().changed == {}
    (context / "file").write_text("second")
    cached = f"cache_from=docker.CacheFromArgs(images=[{IMAGE!r}]), target="
    changed = project.up(PROGRAM.replace("target=", cached).format(name=name))
    assert changed.changed == {"image": "update"}
    assert changed.diffs["image"] == ["build"]
    rebuilt = docker_client.images.get(name)
    assert project.outputs("image")["repoDigest"] == rebuilt.id != built.id

    # Destroying leaves the image, as the official provider does.
    project.destroy()
    assert docker_client.images.get(name).id == rebuilt.id


@pytest.mark.usefixtures("bundled_only", "context")
def test_drift(project: Project, docker_client: docker.DockerClient) -> None:
    name = project.name("image") + ":1"
    project.up(PROGRAM.format(name=name))
    built = project.outputs("image")["repoDigest"]
    # The name was given to another image.
    docker_client.images.get(IMAGE).tag(name)
    project.refresh()
    assert project.up().changed == {"image": "update"}
    assert docker_client.images.get(name).id == project.outputs("image")["repoDigest"] == built
    # The image was removed.
    docker_client.images.remove(name)
    project.refresh()
    assert project.up().changed == {"image": "create"}
    assert docker_client.images.get(name)


@pytest.mark.usefixtures("bundled_only")
def test_a_failing_build_says_why(project: Project, context: Path) -> None:
    (context / "Dockerfile").write_text(
        f"FROM {IMAGE} AS wanted\nARG WHO\nRUN echo the reason, $WHO >&2; exit 7\n"
    )
    failed = project.up(PROGRAM.format(name=project.name("image")), ok=False)
    assert "returned a non-zero code: 7" in failed.text
    assert "the reason, [secret]" in failed.text
    assert "somebody-secret" not in failed.text


@pytest.mark.usefixtures("bundled_only")
def test_bad_inputs_are_named(project: Project, context: Path) -> None:
    (context / "Dockerfile").rename(context / "Elsewhere")
    refused = project.preview(PROGRAM.format(name=project.name("image")), ok=False)
    assert f"there is no Dockerfile at {context / 'Dockerfile'}" in refused.text
    pushed = PROGRAM.format(name=project.name("image")).replace("skip_push=True", "skip_push=False")
    assert "'skipPush' must be true" in project.preview(pushed, ok=False).text


def test_remote_image(project: Project, docker_client: docker.DockerClient) -> None:
    """A present image is used without a pull, and stays or goes as the program says."""
    tag = project.name("remote") + ":1"
    docker_client.images.get(IMAGE).tag(tag)
    source = f'docker.RemoteImage("remote", name={tag!r}, keep_locally=KEEP)'
    project.up("KEEP = True\n" + source)
    assert project.outputs("remote")["imageId"] == docker_client.images.get(tag).id
    assert project.up("KEEP = False\n" + source).changed == {"remote": "update"}
    project.destroy()
    assert docker_client.images.list(tag) == []
    refused = project.up(ok=False)
    assert tag in refused.text
