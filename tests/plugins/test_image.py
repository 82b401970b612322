"""`docker.Image` and `docker.RemoteImage` under the real engine."""

import docker
import pytest

from tests.plugins.project import IMAGE, Project

pytestmark = pytest.mark.plugins


@pytest.mark.usefixtures("bundled_only")
def test_no_image_is_built(project: Project) -> None:
    program = 'docker.Image("image", image_name="a:1", build={"context": HERE}, skip_push=True)'
    assert "the bundled docker plugin builds no image" in project.preview(program, ok=False).text


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
