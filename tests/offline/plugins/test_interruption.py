"""What is left when an update is cut off: nothing, or what the next update puts right."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest

from tests.offline.plugins.project import IMAGE, RUN_VARIABLE, Project, eventually, kill_group

pytestmark = [pytest.mark.plugins, pytest.mark.usefixtures("bundled_only")]

# The container never gets healthy, so its creation is under way as long as the test needs.
PROGRAM = """
volume = docker.Volume("vol", name={volume!r}, labels=labels(docker.VolumeLabelArgs))
docker.Container(
    "server", name={name!r}, image={image!r}, command=["sleep", "600"],
    volumes=[docker.ContainerVolumeArgs(volume_name=volume.name, container_path="/data")],
    healthcheck=docker.ContainerHealthcheckArgs(
        tests=["CMD", {check!r}], interval="1s", retries=1000
    ),
    wait=True, wait_timeout=300, labels=labels(docker.ContainerLabelArgs),
)
"""


def program(project: Project, check: str) -> str:
    return PROGRAM.format(
        volume=project.name("vol"), name=project.name("server"), image=IMAGE, check=check
    )


def running_plugins(project: Project) -> list[int]:
    """The process ids of the plugins that this project's engine started."""
    mark = f"{RUN_VARIABLE}={project.run}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if b"pulumi-resource-docker" in command and mark in environment:
            found.append(int(process.name))
    return found


def unlock(project: Project) -> None:
    """Take away the lock that a killed engine leaves on the state."""
    subprocess.run(
        [project.engine, "cancel", "--yes"], cwd=project.folder, env=project.env, check=True
    )


@pytest.fixture
def creating(
    project: Project, docker_client: docker.DockerClient, ours: Callable[[], list[str]]
) -> Iterator["subprocess.Popen[str]"]:
    """An update that is waiting for a container which it has started."""
    project.program(program(project, check="false"))
    engine = project.start("up", "--yes", "--skip-preview")
    try:
        assert eventually(lambda: project.name("server") in ours(), 30)
        name = project.name("server")
        assert eventually(lambda: docker_client.containers.get(name).status == "running")
        yield engine
    finally:
        if engine.poll() is None:
            kill_group(engine, signal.SIGKILL)
        engine.communicate()


def test_killed_engine(
    project: Project, creating: "subprocess.Popen[str]", ours: Callable[[], list[str]]
) -> None:
    """The plugin takes back the creation that nobody will record, and ends."""
    assert running_plugins(project)
    kill_group(creating, signal.SIGKILL)
    assert eventually(lambda: project.name("server") not in ours())
    assert eventually(lambda: not running_plugins(project))
    unlock(project)
    project.destroy()
    assert ours() == []


def test_interrupted_update(
    project: Project, creating: "subprocess.Popen[str]", ours: Callable[[], list[str]]
) -> None:
    """Ctrl-C ends the waiting, and the half-made container goes."""
    kill_group(creating, signal.SIGINT)
    said, _ = creating.communicate(timeout=180)
    assert creating.returncode != 0
    assert project.name("server") not in ours(), said
    assert eventually(lambda: not running_plugins(project))
    project.destroy()
    assert ours() == []


def test_a_plugin_without_its_engine_is_recovered_from(
    project: Project, creating: "subprocess.Popen[str]", ours: Callable[[], list[str]]
) -> None:
    """Engine and plugin killed at once leave a container; the next update replaces it."""
    kill_group(creating, signal.SIGSTOP)
    for process in running_plugins(project):
        subprocess.run(["kill", "-9", str(process)], check=True)
    kill_group(creating, signal.SIGKILL)
    assert project.name("server") in ours()
    unlock(project)
    project.up(program(project, check="true"))
    project.destroy()
    assert ours() == []
