"""Facts that take more than one step: stopping, what a failure leaves, names that are taken.

Where the bundled plugin differs from the official one it is the stricter, as each test says.
"""

from collections.abc import Callable

import docker
import pytest

from tests.offline.plugins.project import IMAGE, LABEL, Project, eventually

pytestmark = pytest.mark.plugins

GRACE = """
docker.Volume("vol", name={volume!r}, labels=labels(docker.VolumeLabelArgs))
for name, grace in {graces}.items():
    docker.Container(
        name, name={prefix!r} + name, image={image!r}, destroy_grace_seconds=grace,
        command=["sh", "-c", f"trap 'sleep 1; touch /data/{{name}}; exit' TERM;"
                 f" touch /tmp/set; while :; do sleep 0.1; done"],
        volumes=[docker.ContainerVolumeArgs(volume_name={volume!r}, container_path="/data")],
        labels=labels(docker.ContainerLabelArgs),
    )
"""


def test_grace(project: Project, docker_client: docker.DockerClient) -> None:
    """With `destroyGraceSeconds` a container is stopped, without it is killed."""

    def source(graces: dict[str, int | None]) -> str:
        return GRACE.format(
            volume=project.name("vol"), prefix=project.name(""), image=IMAGE, graces=graces
        )

    project.up(source({}))
    project.up(source({"polite": 10, "hurried": None}))
    for name in ("polite", "hurried"):
        made = docker_client.containers.get(project.name(name))
        assert eventually(lambda: made.exec_run("test -e /tmp/set").exit_code == 0)  # noqa: B023
    project.up(source({}))
    shown = docker_client.containers.run(
        IMAGE,
        "ls /data",
        volumes={project.name("vol"): {"bind": "/data"}},
        labels={LABEL: project.run},
        remove=True,
    )
    assert shown == b"polite\n"
    project.destroy()


IN_VAIN = """
docker.Container(
    "server", name={name!r}, image={image!r}, command=["sh", "-c", {command!r}],
    healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "true"], interval="1s"),
    wait=True, wait_timeout=5, labels=labels(docker.ContainerLabelArgs),
)
"""


def test_a_failed_creation(project: Project, ours: Callable[[], list[str]], plugins: str) -> None:
    """The official plugin leaves it for the next update to replace; the bundled one removes it."""
    name = project.name("server")
    project.up(IN_VAIN.format(name=name, image=IMAGE, command="exit 1"), ok=False)
    assert ours() == ([name] if plugins == "official" else [])
    mended = project.up(IN_VAIN.format(name=name, image=IMAGE, command="sleep 600"))
    assert mended.changed["server"] == ("replace" if plugins == "official" else "create")
    assert project.up().changed == {}
    project.destroy()
    assert ours() == []


def test_a_failed_creation_and_a_refresh(project: Project, plugins: str) -> None:
    """After a refresh the official plugin takes it for made, and waits for nothing any more."""
    source = IN_VAIN.format(name=project.name("server"), image=IMAGE, command="exit 1")
    project.up(source, ok=False)
    project.refresh()
    project.up(ok=plugins == "official")
    project.destroy()


def test_a_volume_of_that_name(
    project: Project, docker_client: docker.DockerClient, plugins: str
) -> None:
    """The official plugin adopts it in silence, to replace it after a refresh."""
    taken = docker_client.volumes.create(project.name("vol"))
    source = f"""
docker.Volume("vol", name={taken.name!r}, labels=labels(docker.VolumeLabelArgs))
"""
    try:
        said = project.up(source, ok=plugins == "official")
        if plugins != "official":
            assert f"a volume named '{taken.name}' exists already" in said.text
            return
        project.refresh()
        found = project.preview()
        assert found.changed == {"vol": "replace"}
        assert found.diffs["vol"] == ["labels"]
        project.destroy()
    finally:
        if taken.name in [one.name for one in docker_client.volumes.list()]:
            taken.remove()


NETWORK = """
docker.Network(
    "net", {named} attachable={attachable},
    ipam_configs=[docker.NetworkIpamConfigArgs(subnet={subnet!r})],
    labels=labels(docker.NetworkLabelArgs),
)
"""


@pytest.mark.parametrize("named", [True, False])
def test_the_subnet_of_a_network_that_is_replaced(project: Project, named: bool) -> None:
    """A network of the program's name goes before the new one comes; of Pulumi's, after it."""
    subnet = f"10.{200 + int(project.run[:2], 16) % 50}.{int(project.run[2:4], 16)}.0/28"
    name = f"name={project.name('net')!r}," if named else ""
    project.up(NETWORK.format(named=name, attachable=False, subnet=subnet))
    changed = NETWORK.format(named=name, attachable=True, subnet=subnet)
    result = project.up(changed, ok=named)
    if not named:
        assert "Pool overlaps with other one on this address space" in result.text
    project.destroy()
