"""Waiting for containers: until healthy, or until a job has ended."""

from collections.abc import Callable

import docker
import pytest

from tests.offline.plugins.project import IMAGE, Project

pytestmark = pytest.mark.plugins

SERVER = """
secret = pulumi.Output.secret("hidden-{run}")
docker.Container(
    "server",
    image={image!r},
    command=["sh", "-c", {command!r}],
    envs=[pulumi.Output.concat("SECRET=", secret)],
    healthcheck=docker.ContainerHealthcheckArgs(
        tests=["CMD-SHELL", {check!r}], interval="1s", timeout="2s", retries=2, start_period="0s"
    ),
    wait=True,
    wait_timeout={timeout},
    labels=labels(docker.ContainerLabelArgs),
)
"""


def server(project: Project, command: str, check: str, timeout: int = 30) -> str:
    return SERVER.format(
        run=project.run, image=IMAGE, command=command, check=check, timeout=timeout
    )


def test_healthy(project: Project, docker_client: docker.DockerClient) -> None:
    project.up(server(project, "sleep 1; touch /tmp/ready; sleep 600", "test -e /tmp/ready"))
    made = docker_client.containers.get(project.resources()["server"]["id"])
    assert made.attrs["State"]["Health"]["Status"] == "healthy"
    project.destroy()


@pytest.mark.usefixtures("bundled_only")
@pytest.mark.parametrize(
    ("command", "check", "timeout", "expected"),
    [
        pytest.param(
            "echo started with $SECRET; sleep 600",
            "echo not yet; exit 1",
            30,
            (
                "is unhealthy after",
                "its last check exited with 1: not yet",
                "started with [secret]",
            ),
            id="unhealthy",
        ),
        pytest.param(
            "echo no room; exit 4",
            "true",
            30,
            ("the container exited with code 4", "no room"),
            id="exited",
        ),
        pytest.param("sleep 600", "sleep 600", 1, ("is not healthy within 1 s",), id="too-slow"),
    ],
)
def test_not_healthy(
    project: Project,
    ours: Callable[[], list[str]],
    command: str,
    check: str,
    timeout: int,
    expected: tuple[str, ...],
) -> None:
    failed = project.up(server(project, command, check, timeout), ok=False)
    for part in expected:
        assert part in failed.text
    assert f"hidden-{project.run}" not in failed.text
    assert ours() == []


@pytest.mark.usefixtures("bundled_only")
def test_a_container_that_ends_at_once(project: Project, ours: Callable[[], list[str]]) -> None:
    failed = project.up(
        f"""
docker.Container("server", image={IMAGE!r}, command=["sh", "-c", "echo why; exit 5"],
                 labels=labels(docker.ContainerLabelArgs))
""",
        ok=False,
    )
    assert "the container exited with code 5" in failed.text
    assert "  why" in failed.text
    assert ours() == []


JOB = """
secret = pulumi.Output.secret("hidden-job")
job = docker.Container(
    "job",
    image={image!r},
    command=["sh", "-c", "sleep 0.5; echo out; echo err >&2; echo $SECRET; exit {code}"],
    envs=[pulumi.Output.concat("SECRET=", secret)],
    attach=True,
    logs=True,
    must_run=False,
    labels=labels(docker.ContainerLabelArgs),
)
pulumi.export("code", job.exit_code)
"""


def test_a_job(project: Project, ours: Callable[[], list[str]]) -> None:
    """A job's exit code and log are outputs, also when it failed: the program decides."""
    project.up(JOB.format(image=IMAGE, code=3))
    outputs = project.outputs("job")
    assert outputs["exitCode"] == 3
    assert set(outputs["containerLogs"].split()) == {"out", "err", "[secret]"}
    assert "hidden-job" not in project.raw_state
    assert project.up().changed == {}
    assert project.refresh().changed == {}
    assert project.up(JOB.format(image=IMAGE, code=0)).changed == {"job": "replace"}
    assert project.outputs("job")["exitCode"] == 0
    project.destroy()
    assert ours() == []
