"""`docker.Image` and `docker.RemoteImage` under the real engine."""

import json
import subprocess

import docker
import pytest

from tests.offline.plugins.project import IMAGE, Project

pytestmark = pytest.mark.plugins


@pytest.mark.usefixtures("bundled_only")
def test_no_image_is_built(project: Project) -> None:
    program = 'docker.Image("image", image_name="a:1", build={"context": HERE}, skip_push=True)'
    assert "the bundled docker plugin builds no image" in project.preview(program, ok=False).text


def test_an_image_that_an_earlier_version_built_leaves_the_state_and_stays(
    project: Project, docker_client: docker.DockerClient
) -> None:
    tag = project.name("built") + ":1"
    docker_client.images.get(IMAGE).tag(tag)
    try:
        program = f'docker.RemoteImage("remote", name={IMAGE!r}, keep_locally=True)'
        project.up(program)
        state = json.loads(pulumi(project, "stack", "export"))
        found = state["deployment"]["resources"]
        [remote] = [one for one in found if one["type"].endswith("RemoteImage")]
        urn = remote["urn"].replace("remoteImage:RemoteImage::remote", "image:Image::built")
        inputs = {
            "buildOnPreview": False,
            "imageName": tag,
            "skipPush": True,
            "build": {"args": {"BASE": IMAGE}, "builderVersion": "BuilderV1", "context": "/gone"},
        }
        outputs = inputs | {"baseImageName": tag, "repoDigest": "sha256:1", "registryServer": ""}
        kind = {"urn": urn, "type": "docker:index/image:Image", "id": tag}
        found.append(remote | kind | {"inputs": inputs, "outputs": outputs})
        pulumi(project, "stack", "import", stdin=json.dumps(state))
        project.refresh()
        assert project.preview(program).ops["built"] == "delete"
        assert project.up().changed == {"built": "delete"}
        assert docker_client.images.list(tag) != []
    finally:
        docker_client.images.remove(tag)


def pulumi(project: Project, *arguments: str, stdin: str = "") -> str:
    """Run a command of Pulumi that the tests have no other use for; return what it prints."""
    return subprocess.run(
        [project.engine, *arguments],
        cwd=project.folder,
        env=project.env,
        input=stdin,
        text=True,
        capture_output=True,
        check=True,
    ).stdout


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
