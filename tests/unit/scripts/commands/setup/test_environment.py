"""The variables that are set, and those of the person that stay."""

import pytest

from scripts.commands.setup import environment
from scripts.shared import project

ENGINE = project.CACHE / "pulumi-3.256.0-modules"


def variables(environ: dict[str, str], docker_host: str = "") -> dict[str, str]:
    return environment.variables(environ, ENGINE, True, docker_host)


def test_the_tools_come_first_on_path_and_only_once() -> None:
    first = variables({"PATH": "/usr/bin:/bin"})["PATH"]
    assert first == f"{project.VENV}/bin:{ENGINE}:/usr/bin:/bin"
    assert variables({"PATH": first})["PATH"] == first


def test_the_engine_of_another_version_leaves_path() -> None:
    path = f"{project.CACHE}/pulumi-3.1.0-release:/usr/bin"
    assert "3.1.0" not in variables({"PATH": path})["PATH"]


def test_pulumis_home_is_in_the_checkout() -> None:
    assert variables({"PULUMI_HOME": "/home/me/.pulumi"})["PULUMI_HOME"] == str(project.PULUMI_HOME)


def test_a_backend_of_the_persons_own_keeps_their_log_in() -> None:
    assert "PULUMI_CREDENTIALS_PATH" not in variables({})
    own = {"PULUMI_BACKEND_URL": "https://pulumi.example", "PULUMI_HOME": "/home/me/pulumi"}
    found = variables(own)
    assert found["PULUMI_CREDENTIALS_PATH"] == "/home/me/pulumi"
    assert "PULUMI_BACKEND_URL" not in found
    again = variables({**own, **found})
    assert again["PULUMI_CREDENTIALS_PATH"] == "/home/me/pulumi"


@pytest.mark.parametrize("name", ["PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"])
def test_a_passphrase_of_the_persons_own_stays(name: str) -> None:
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" not in variables({name: "/home/me/x"})


def test_a_docker_context_is_handed_on_unless_the_person_chose_an_engine() -> None:
    desktop = "unix:///home/me/.docker/run/docker.sock"
    assert variables({}, desktop)["DOCKER_HOST"] == desktop
    assert "DOCKER_HOST" not in variables({"DOCKER_HOST": "tcp://10.0.0.1:2376"}, desktop)
    assert "DOCKER_HOST" not in variables({})


def test_official_plugins_leave_the_search_for_others_on() -> None:
    found = environment.variables({}, ENGINE, False, "")
    assert "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION" not in found


def test_the_test_clusters_contexts_come_after_the_persons_own() -> None:
    own = variables({"KUBECONFIG": "/home/me/work"})["KUBECONFIG"]
    assert own == f"/home/me/work:{project.CACHE}/test-cluster/kubeconfig"
    assert variables({"KUBECONFIG": own})["KUBECONFIG"] == own
    assert variables({})["KUBECONFIG"].split(":")[0].endswith("/.kube/config")
