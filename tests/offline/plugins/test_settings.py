"""The docker provider's own settings under the real engine."""

import pytest

from tests.offline.plugins.project import Project

pytestmark = [pytest.mark.plugins, pytest.mark.usefixtures("bundled_only")]

PROGRAM = """
provider = docker.Provider("provider", {setting})
docker.Volume("vol", labels=labels(docker.VolumeLabelArgs),
              opts=pulumi.ResourceOptions(provider=provider))
"""


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ('cert_path="/certificates"', "property 'certPath' is not served by the bundled docker"),
        ('host="unix:///nowhere.sock"', "Docker at unix:///nowhere.sock does not answer"),
        ('context="elsewhere"', "Docker has no context 'elsewhere'"),
    ],
)
def test_settings_that_cannot_be(project: Project, setting: str, expected: str) -> None:
    assert expected in project.up(PROGRAM.format(setting=setting), ok=False).text


def test_a_host(project: Project) -> None:
    """The engine that the Docker client of these tests uses, named by the program."""
    host = project.env.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    project.up(PROGRAM.format(setting=f"host={host!r}"))
    project.destroy()
