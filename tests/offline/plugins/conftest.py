"""Small Pulumi projects, run by the real engine against the real Docker.

With `--plugins=official` the same tests run on the official plugins, which must be installed in
Pulumi's home at the versions of their SDKs.
"""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts.offline.plugins.protocol.sdk import sdk_version
from tests.offline.plugins.project import IMAGE, LABEL, RUN_VARIABLE, Project, sweep

ROOT = Path(__file__).parents[3]
BUNDLED = ROOT / "scripts" / "offline" / "plugins"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Which plugins the tests run on."""
    parser.addoption(
        "--plugins",
        dest="pulumi_plugins",
        choices=("bundled", "official"),
        default="bundled",
        help="the project's own plugins, or the official ones where they are installed",
    )


@pytest.fixture(scope="session")
def plugins(request: pytest.FixtureRequest) -> str:
    # The option is unknown when pytest was started on a folder above this one.
    return str(request.config.getoption("pulumi_plugins", "bundled"))


@pytest.fixture
def bundled_only(plugins: str) -> None:
    """For tests of what only the bundled plugins promise."""
    if plugins != "bundled":
        pytest.skip("the official plugins do not promise this")


@pytest.fixture(scope="session")
def engine() -> str:
    """The Pulumi program."""
    found = shutil.which("pulumi")
    if found is None:
        pytest.fail("these tests need the Pulumi engine on PATH: `. scripts/activate`")
    return found


@pytest.fixture(scope="session")
def pulumi_home(plugins: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Pulumi home with the plugins under test, and nothing else.

    That for Kubernetes is the official one in any case, as it was set up: a release, or built here.
    """
    home = tmp_path_factory.mktemp("pulumi-home")
    own = Path(os.environ.get("PULUMI_HOME") or Path.home() / ".pulumi")
    for name in ("docker", "kubernetes", "random"):
        folder = f"resource-{name}-v{sdk_version(f'pulumi_{name}')}"
        program = own / "plugins" / folder / f"pulumi-resource-{name}"
        if name != "kubernetes" and plugins == "bundled":
            program = BUNDLED / program.name
        elif name != "kubernetes" and (not program.exists() or program.read_bytes()[:2] == b"#!"):
            pytest.fail(f"--plugins=official needs {program}: install it, or run without")
        # The engine does not look into a folder that is a link.
        target = home / "plugins" / folder
        target.mkdir(parents=True)
        (target / program.name).symlink_to(program)
    return home


@pytest.fixture(scope="session")
def docker_client() -> Iterator[docker.DockerClient]:
    client = docker.from_env()
    client.images.get(IMAGE)
    yield client
    client.close()


@pytest.fixture(scope="session")
def empty_project(
    engine: str, pulumi_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, str]]:
    """A project with an empty stack, to be copied, and the environment to run it in.

    The place of its state depends on the project's folder, which is the working directory.
    """
    folder = tmp_path_factory.mktemp("empty-project")
    (folder / "state").mkdir()
    (folder / "Pulumi.yaml").write_text(
        "name: plugin-test\nbackend: {url: 'file://state'}\n"
        f"runtime: {{name: python, options: {{virtualenv: {sys.prefix}}}}}\n"
    )
    folders = [str(Path(sys.prefix, "bin")), str(Path(engine).parent), os.environ["PATH"]]
    env = os.environ | {
        "PATH": os.pathsep.join(folders),
        "PULUMI_HOME": str(pulumi_home),
        "PULUMI_CONFIG_PASSPHRASE": "test",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        "PULUMI_ENABLE_STREAMING_JSON_PREVIEW": "true",
    }
    env.pop("PULUMI_BACKEND_URL", None)
    subprocess.run(
        [engine, "stack", "init", "test"], cwd=folder, env=env, check=True, capture_output=True
    )
    return folder, env


@pytest.fixture
def project(
    tmp_path: Path,
    engine: str,
    empty_project: tuple[Path, dict[str, str]],
    docker_client: docker.DockerClient,
) -> Iterator[Project]:
    """An empty project. What it makes in Docker is removed in the end, whatever happened."""
    run = uuid.uuid4().hex[:8]
    folder, env = empty_project
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    made = Project(tmp_path, run, engine, env | {"PULUMI_STACK": "test", RUN_VARIABLE: run})
    yield made
    sweep(docker_client, made)


@pytest.fixture
def ours(docker_client: docker.DockerClient, project: Project) -> Callable[[], list[str]]:
    """The names of all containers, networks and volumes of this test's project."""

    def names() -> list[str]:
        mark: dict[str, Any] = {"label": f"{LABEL}={project.run}"}
        found = [
            one.name
            for one in docker_client.containers.list(all=True, filters=mark, ignore_removed=True)
        ]
        found += [one.name for one in docker_client.networks.list(filters=mark)]
        found += [one.name for one in docker_client.volumes.list(filters=mark)]
        return sorted(str(name) for name in found)

    return names
