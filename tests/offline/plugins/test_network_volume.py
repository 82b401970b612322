"""`docker.Network` and `docker.Volume` under the real engine."""

from collections.abc import Callable

import docker
import pytest

from tests.offline.plugins.project import IMAGE, LABEL, Project

pytestmark = pytest.mark.plugins

PROGRAM = """
network = docker.Network(
    "net",
    name={network!r},
    driver="bridge",
    internal=True,
    options={{"com.docker.network.bridge.enable_icc": {icc!r}}},
    ipam_configs=[docker.NetworkIpamConfigArgs(subnet={subnet!r})],
    labels=labels(docker.NetworkLabelArgs),
)
volume = docker.Volume("vol", name={volume!r}, labels=labels(docker.VolumeLabelArgs))
auto = docker.Volume("auto", labels=labels(docker.VolumeLabelArgs))
pulumi.export("auto", auto.name)
"""


def program(project: Project, icc: str = "true") -> str:
    # A subnet of this run's own, out of a range that nothing else here uses.
    subnet = f"10.{200 + int(project.run[:2], 16) % 50}.{int(project.run[2:4], 16)}.0/24"
    return PROGRAM.format(
        network=project.name("net"), volume=project.name("vol"), icc=icc, subnet=subnet
    )


def test_life_cycle(
    project: Project, docker_client: docker.DockerClient, ours: Callable[[], list[str]]
) -> None:
    project.up(program(project))
    network = docker_client.networks.get(project.name("net"))
    assert network.attrs["Internal"]
    assert network.attrs["Options"]["com.docker.network.bridge.enable_icc"] == "true"
    assert network.attrs["Labels"] == {LABEL: project.run}
    volume = docker_client.volumes.get(project.name("vol"))
    assert volume.attrs["Labels"] == {LABEL: project.run}
    outputs = project.outputs("vol")
    assert outputs["mountpoint"] == volume.attrs["Mountpoint"]
    assert project.outputs("net")["scope"] == "local"
    auto = project.outputs("auto")["name"]
    assert auto.startswith("auto-")
    assert len(auto) == len("auto-") + 7

    assert project.up().changed == {}
    assert project.refresh().changed == {}

    replaced = project.up(program(project, icc="false"))
    assert replaced.changed == {"net": "replace"}
    assert replaced.diffs["net"] == ["options"]
    assert project.outputs("auto")["name"] == auto

    # Removed by hand: a refresh sees it, the next update makes them again.
    docker_client.networks.get(project.name("net")).remove()
    docker_client.volumes.get(project.name("vol")).remove()
    project.refresh()
    assert {"net", "vol"}.isdisjoint(project.resources())
    assert project.up().changed == {"net": "create", "vol": "create"}

    # Made anew by hand with other settings: a volume of the same name is another volume.
    docker_client.volumes.get(project.name("vol")).remove()
    docker_client.volumes.create(project.name("vol"), labels={LABEL: project.run, "by": "hand"})
    project.refresh()
    assert project.up().changed == {"vol": "replace"}

    project.destroy()
    assert ours() == []


@pytest.mark.usefixtures("bundled_only")
def test_names_that_are_taken(
    project: Project, docker_client: docker.DockerClient, ours: Callable[[], list[str]]
) -> None:
    """Leftovers of the same program are adopted; what belongs to others is left alone."""
    mark = {LABEL: project.run}
    project.program(program(project))
    leftover = docker_client.volumes.create(project.name("vol"), labels=mark)
    network = docker_client.networks.create(project.name("net"), labels=mark)
    project.up()
    # The network was not as asked for, so it was made again; the volume keeps its data.
    assert project.resources()["net"]["id"] != network.id
    assert project.outputs("vol")["mountpoint"] == leftover.attrs["Mountpoint"]
    project.destroy()
    assert ours() == []

    foreign = docker_client.networks.create(project.name("net"))
    try:
        refused = project.up(ok=False)
        taken = f"a network named '{project.name('net')}' exists already ({str(foreign.id)[:12]})"
        assert taken in refused.text
        assert docker_client.networks.get(str(foreign.id))
    finally:
        foreign.remove()
    project.destroy()


def test_a_volume_in_use_stays(project: Project, docker_client: docker.DockerClient) -> None:
    name = project.name("vol")
    source = f'docker.Volume("vol", name={name!r}, labels=labels(docker.VolumeLabelArgs))'
    project.up(source)
    user = docker_client.containers.create(
        IMAGE, "true", labels={LABEL: project.run}, volumes={name: {"bind": "/data"}}
    )
    refused = project.destroy(ok=False)
    assert "in use" in refused.text
    assert str(user.id)[:12] in refused.text
    user.remove()
    project.destroy()


@pytest.mark.usefixtures("bundled_only")
def test_import(project: Project, docker_client: docker.DockerClient) -> None:
    """A network and a volume that exist can be taken over, if the program describes them."""
    mark = {LABEL: project.run}
    network = docker_client.networks.create(project.name("net"), labels=mark)
    docker_client.volumes.create(project.name("vol"), labels=mark)
    subnet = docker_client.networks.get(str(network.id)).attrs["IPAM"]["Config"][0]
    source = f"""
opts = pulumi.ResourceOptions
pool = docker.NetworkIpamConfigArgs(subnet={subnet["Subnet"]!r}, gateway={subnet["Gateway"]!r})
docker.Network(
    "net", name={project.name("net")!r}, labels=labels(docker.NetworkLabelArgs),
    ipam_configs=[pool], driver="bridge", opts=opts(import_={network.id!r}),
)
docker.Volume(
    "vol", name={project.name("vol")!r}, labels=labels(docker.VolumeLabelArgs),
    driver="local", opts=opts(import_={project.name("vol")!r}),
)
"""
    assert project.up(source).changed == {
        "plugin-test-test": "create",
        "net": "import",
        "vol": "import",
    }
    assert project.up(source).changed == {}
    project.destroy()
