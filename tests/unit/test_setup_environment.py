"""The variables that are set, and those of the person that stay."""

import subprocess
from pathlib import Path

import pytest

from scripts.prepare import environment, pins

ENGINE = pins.CACHE / "pulumi-3.256.0-modules"


def variables(environ: dict[str, str], docker_host: str = "") -> dict[str, str]:
    return environment.variables(environ, ENGINE, True, docker_host)


def test_the_tools_come_first_on_path_and_only_once() -> None:
    first = variables({"PATH": "/usr/bin:/bin"})["PATH"]
    assert first == f"{pins.VENV}/bin:{ENGINE}:/usr/bin:/bin"
    assert variables({"PATH": first})["PATH"] == first


def test_the_engine_of_another_version_leaves_path() -> None:
    path = f"{pins.CACHE}/pulumi-3.1.0-release:/usr/bin"
    assert "3.1.0" not in variables({"PATH": path})["PATH"]


def test_pulumis_home_is_in_the_checkout() -> None:
    assert variables({"PULUMI_HOME": "/home/me/.pulumi"})["PULUMI_HOME"] == str(pins.PULUMI_HOME)


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


def test_exports_survive_a_shell() -> None:
    value = "/a b/it's $HOME `x`"
    script = environment.exports({"STRANGE": value}) + 'printf %s "$STRANGE"'
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == value


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_activate_says_so_when_it_is_not_sourced(shell: str) -> None:
    script = pins.ROOT / "scripts" / "activate"
    done = subprocess.run([shell, script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "Source this file from bash or zsh instead of running it: . scripts/activate"
    ]


def test_an_old_python_gets_one_line(tmp_path: Path) -> None:
    (tmp_path / "python3").write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo "Python 3.9.2" && exit\nexit 1\n'
    )
    (tmp_path / "python3").chmod(0o755)
    for tool in ("sh", "dirname"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    done = subprocess.run(
        ["/bin/sh", pins.ROOT / "scripts" / "setup"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(tmp_path)},
    )
    assert done.returncode == 2
    assert done.stderr.startswith("Python 3.11 or newer is needed, found: Python 3.9.2.")
    assert len(done.stderr.splitlines()) == 1


def test_the_test_clusters_contexts_come_after_the_persons_own() -> None:
    own = variables({"KUBECONFIG": "/home/me/work"})["KUBECONFIG"]
    assert own == f"/home/me/work:{pins.CACHE}/test-cluster/kubeconfig"
    assert variables({"KUBECONFIG": own})["KUBECONFIG"] == own
    assert variables({})["KUBECONFIG"].split(":")[0].endswith("/.kube/config")
