"""`docker.Container` under the real engine: its settings, changes, and drift."""

import json
import socket
from collections.abc import Callable

import docker
import pytest

from tests.offline.plugins.project import IMAGE, LABEL, Project
from tests.ports import free_port

pytestmark = pytest.mark.plugins

FULL = """
settings = json.loads(os.environ["SETTINGS"])
password = random.RandomPassword("password", length=20, special=False)
network = docker.Network(
    "net",
    name=settings["network"],
    ipam_configs=[docker.NetworkIpamConfigArgs(subnet=settings["subnet"])],
    labels=labels(docker.NetworkLabelArgs),
)
second = docker.Network("second", labels=labels(docker.NetworkLabelArgs))
volume = docker.Volume("vol", labels=labels(docker.VolumeLabelArgs))
files = docker.Container(
    "files",
    image=settings["image"],
    start=False,
    must_run=False,
    volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/secrets")],
    uploads=[
        docker.ContainerUploadArgs(
            file="/secrets/password", content=password.result, permissions="0444",
        ),
        docker.ContainerUploadArgs(
            file="/secrets/tools/run", content_base64="IyEvYmluL3NoCg==", executable=True,
        ),
    ],
    labels=labels(docker.ContainerLabelArgs),
)
container = docker.Container(
    "server",
    name=settings["name"],
    image=settings["image"],
    entrypoints=["/bin/sh", "-c"],
    command=["trap 'exit 0' TERM; cat /secrets/password > /dev/null || exit 9; sleep 600 & wait"],
    envs=["PLAIN=1", pulumi.Output.concat("URI=postgresql://u:", password.result, "@db/x"),
          "COLOUR=" + settings["colour"]],
    user="1000:1000",
    group_adds=["2000"],
    working_dir="/tmp",
    hostname="server",
    read_only=True,
    init=True,
    tmpfs={"/tmp": "size=8m,mode=1777"},
    shm_size=32,
    capabilities=docker.ContainerCapabilitiesArgs(drops=["ALL"], adds=["CAP_NET_BIND_SERVICE"]),
    security_opts=["no-new-privileges:true"],
    devices=[docker.ContainerDeviceArgs(host_path="/dev/null", container_path="/dev/other")],
    ulimits=[docker.ContainerUlimitArgs(name="nofile", soft=1024, hard=2048)],
    sysctls={"net.ipv4.ip_unprivileged_port_start": "80"},
    hosts=[docker.ContainerHostArgs(host="elsewhere", ip="192.0.2.1")],
    dns=["192.0.2.53"],
    networks_advanced=[
        docker.ContainerNetworksAdvancedArgs(
            name=network.name, aliases=["db", "database"], ipv4_address=settings["address"]
        ),
        docker.ContainerNetworksAdvancedArgs(name=second.name),
    ],
    ports=[
        docker.ContainerPortArgs(internal=443, ip="127.0.0.1"),
        docker.ContainerPortArgs(internal=80, external=settings["port"], ip="127.0.0.1"),
    ],
    volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/secrets")],
    mounts=[docker.ContainerMountArgs(
        type="tmpfs", target="/run",
        tmpfs_options=docker.ContainerMountTmpfsOptionsArgs(size_bytes=1048576),
    )],
    log_driver="json-file",
    log_opts={"max-size": "1m"},
    memory=settings["memory"],
    memory_swap=2 * settings["memory"],
    cpu_shares=512,
    cpus="1.5",
    stop_signal="SIGTERM",
    stop_timeout=5,
    destroy_grace_seconds=5,
    restart=settings["restart"],
    labels=labels(docker.ContainerLabelArgs),
    opts=pulumi.ResourceOptions(depends_on=[files]),
)
"""


def test_life_cycle(
    project: Project, docker_client: docker.DockerClient, ours: Callable[[], list[str]]
) -> None:
    base = f"10.{200 + int(project.run[:2], 16) % 50}.{int(project.run[2:4], 16)}"
    name = project.name("server")
    settings = {
        "network": project.name("net"),
        "name": name,
        "image": docker_client.images.get(IMAGE).id,
        "subnet": f"{base}.0/24",
        "address": f"{base}.7",
        "port": free_port(),
        "colour": "red",
        "memory": 64,
        "restart": "unless-stopped",
    }

    def set_(**values: object) -> None:
        project.env["SETTINGS"] = json.dumps(settings | values)

    set_()
    preview = project.preview(FULL)
    assert preview.ops["server"] == "create"
    assert ours() == []

    project.up()
    server = docker_client.containers.get(name)
    config, host = server.attrs["Config"], server.attrs["HostConfig"]
    outputs = project.revealed("server")
    password = project.revealed("password")["result"]
    # what was asked for is there
    assert config["User"] == "1000:1000"
    assert config["Entrypoint"] == ["/bin/sh", "-c"]
    assert f"URI=postgresql://u:{password}@db/x" in config["Env"]
    assert config["Hostname"] == "server"
    assert config["StopTimeout"] == 5
    assert server.image is not None  # its labels come with it
    assert config["Labels"] == server.image.labels | {LABEL: project.run}
    assert host["ReadonlyRootfs"]
    assert host["Init"]
    assert host["CapDrop"] == ["ALL"]
    assert host["CapAdd"] == ["CAP_NET_BIND_SERVICE"]
    assert host["SecurityOpt"] == ["no-new-privileges:true"]
    assert host["Tmpfs"] == {"/tmp": "size=8m,mode=1777"}
    assert host["ShmSize"] == 32 * 1024 * 1024
    assert host["Memory"] == 64 * 1024 * 1024
    assert host["NanoCpus"] == 1_500_000_000
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert host["LogConfig"] == {"Type": "json-file", "Config": {"max-size": "1m"}}
    assert host["Devices"][0]["PathInContainer"] == "/dev/other"
    assert host["Ulimits"] == [{"Name": "nofile", "Soft": 1024, "Hard": 2048}]
    assert host["ExtraHosts"] == ["elsewhere:192.0.2.1"]
    endpoint = server.attrs["NetworkSettings"]["Networks"][settings["network"]]
    assert endpoint["IPAddress"] == settings["address"]
    assert {"db", "database"} <= set(endpoint["Aliases"])
    # the uploads arrived in the volume, through a container that was never started
    shown = server.exec_run("sh -c 'cat /secrets/password; stat -c %a:%u /secrets/password'")
    assert shown.output == f"{password}444:0\n".encode()
    assert server.exec_run("stat -c %a /secrets/tools/run").output == b"744\n"
    # outputs
    addresses = {one["networkName"]: one["ipAddress"] for one in outputs["networkDatas"]}
    assert addresses[settings["network"]] == settings["address"]
    assert len(addresses) == 2
    chosen = server.attrs["NetworkSettings"]["Ports"]["443/tcp"][0]["HostPort"]
    assert [one["external"] for one in outputs["ports"]] == [settings["port"], int(chosen)]
    # no secret in plain state
    assert password not in project.raw_state

    assert project.up().changed == {}
    assert project.refresh().changed == {}
    assert project.up().changed == {}

    # in place
    set_(restart="always", memory=256)
    changed = project.up()
    assert changed.changed == {"server": "update"}
    assert changed.diffs["server"] == ["memory", "memorySwap", "restart"]
    server.reload()
    assert server.attrs["HostConfig"]["Memory"] == 256 * 1024 * 1024
    assert server.attrs["HostConfig"]["RestartPolicy"]["Name"] == "always"

    # changed by hand: limits, then stopped, then removed
    server.update(mem_limit="128m", memswap_limit="256m")
    project.refresh()
    changed = project.up()
    assert changed.changed == {"server": "update"}
    assert changed.diffs["server"] == ["memory", "memorySwap"]
    server.stop(timeout=1)
    project.refresh()
    changed = project.up()
    assert changed.changed == {"server": "update"}
    assert changed.diffs["server"] == ["mustRun"]
    server.reload()
    assert server.status == "running"
    server.remove(force=True)
    project.refresh()
    assert project.up().changed == {"server": "create"}

    # replaced
    set_(restart="always", memory=256, colour="blue")
    changed = project.up()
    assert changed.changed == {"server": "replace"}
    assert changed.diffs["server"] == ["envs"]
    assert "COLOUR=blue" in docker_client.containers.get(name).attrs["Config"]["Env"]

    # A network of a fixed name is replaced only after its containers went.
    set_(subnet=f"{base}.0/25")
    assert project.up().changed == {"net": "replace", "server": "replace"}

    project.destroy()
    assert ours() == []


@pytest.mark.usefixtures("bundled_only")
def test_names_that_are_taken(
    project: Project, docker_client: docker.DockerClient, ours: Callable[[], list[str]]
) -> None:
    """A leftover of the same program is replaced; a stranger's container is left alone."""
    name = project.name("server")
    source = f"""
docker.Container("server", name={name!r}, image={IMAGE!r}, command=["sleep", "600"],
                 labels=labels(docker.ContainerLabelArgs))
"""
    leftover = docker_client.containers.run(
        IMAGE, "sleep 600", name=name, labels={LABEL: project.run, "more": "1"}, detach=True
    )
    project.up(source)
    assert docker_client.containers.get(name).id != leftover.id
    project.destroy()
    assert ours() == []

    stranger = docker_client.containers.create(IMAGE, "true", name=name)
    try:
        refused = project.up(ok=False)
        assert (
            f"a container named '{name}' exists already ({str(stranger.id)[:12]})" in refused.text
        )
        assert f"`docker container rm {name}`" in refused.text
        assert docker_client.containers.get(name).id == stranger.id
    finally:
        stranger.remove()


@pytest.mark.usefixtures("bundled_only")
def test_a_taken_port_names_its_holder(
    project: Project, docker_client: docker.DockerClient
) -> None:
    holder = docker_client.containers.run(
        IMAGE,
        "sleep 600",
        name=project.name("holder"),
        labels={LABEL: project.run},
        ports={"80/tcp": ("127.0.0.1", port := free_port())},
        detach=True,
    )
    source = """
docker.Container("server", name={name!r}, image={image!r}, command=["sleep", "600"],
                 ports=[docker.ContainerPortArgs(internal=80, external={port}, ip="127.0.0.1")],
                 labels=labels(docker.ContainerLabelArgs))
"""
    name = project.name("server")
    refused = project.up(source.format(name=name, image=IMAGE, port=port), ok=False)
    assert f"port {port} is taken by container '{holder.name}'" in refused.text
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        refused = project.up(source.format(name=name, image=IMAGE, port=port), ok=False)
    assert f"port {port} is taken by another process" in refused.text
    with pytest.raises(docker.errors.NotFound):
        docker_client.containers.get(name)


@pytest.mark.usefixtures("bundled_only")
def test_every_bad_property_is_named(project: Project) -> None:
    refused = project.preview(
        f"""
docker.Container(
    "server", image={IMAGE!r}, gpus="all", attach=True, restart="sometimes",
    ports=[docker.ContainerPortArgs(internal=0)],
    uploads=[docker.ContainerUploadArgs(file="relative", permissions="400",
                                        content=pulumi.Output.secret("a hidden text"))],
    envs=[pulumi.Output.secret("hidden-without-equals-sign")],
    healthcheck=docker.ContainerHealthcheckArgs(tests=["CMD", "true"], start_interval="1s"),
)
""",
        ok=False,
    )
    for expected in (
        "property 'gpus' is not served by the bundled docker plugin",
        "property 'healthcheck.startInterval' is not served by the bundled docker plugin",
        "'restart' must be one of no, on-failure, always, unless-stopped",
        "'ports[0].internal' must be at least 1",
        "'uploads[0].file' must be an absolute path",
        "'uploads[0].permissions' must be four octal digits such as 0400",
        "'envs[0]' must be of the form KEY=VALUE",
    ):
        assert expected in refused.text
    assert "hidden" not in refused.text
    refused = project.preview('docker.Tag("t", source_image="a", target_image="b")', ok=False)
    assert "docker:index/tag:Tag is not served by the bundled docker plugin" in refused.text
    refused = project.preview('docker.get_network(name="bridge")', ok=False)
    assert "function docker:index/getNetwork:getNetwork is not served" in refused.text
