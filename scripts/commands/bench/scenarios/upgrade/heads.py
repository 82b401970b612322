"""The images of both releases, there before anything is measured, and the schema of each."""

from collections.abc import Sequence
from contextlib import closing

import docker
from docker.errors import DockerException
from requests.exceptions import RequestException

from infra import stack_file
from infra.components.names import MLFLOW
from infra.docker.ahead import specification
from infra.image import build, registry
from infra.image.context import BuildContext, BuildContextError
from infra.image.source import Published, image_sources
from infra.releases import contents
from infra.specification.error import SpecError
from scripts.shared import ui
from scripts.shared.ui import SetupError

HEAD = "from schema_job.migrations import Migrations; print(Migrations().image().head)"
PATHS = "/usr/local/lib/schema-job:/usr/local/lib/stores"


def of(stack: str, releases: Sequence[str]) -> dict[str, str]:
    """Have the image of each release, and return the revision that its schema job goes to.

    A build or a pull in the middle of an upgrade would be in its times. Raises `SetupError`.
    """
    try:
        with closing(build.connect()) as client:
            return {release: _ask(client, _image(client, stack, release)) for release in releases}
    except (
        stack_file.StackFileError,
        SpecError,
        BuildContextError,
        build.BuildFailedError,
        registry.RegistryError,
    ) as error:
        raise SetupError(str(error)) from None
    except (DockerException, RequestException) as error:
        raise SetupError(f"Docker says: {getattr(error, 'explanation', None) or error}") from None


def schemas(stack: str, releases: Sequence[str]) -> dict[str, str]:
    """Return the revisions that the servers of each release need, as a deployment compares them."""
    try:
        users = specification(stack).auth.has_users
    except (stack_file.StackFileError, SpecError) as error:
        raise SetupError(str(error)) from None
    return {release: contents.schema(release, users=users) for release in releases}


def refusal(schemas: dict[str, str], *, rolling: bool, on_docker: bool) -> str | None:
    """Return why these releases cannot be had replica by replica; None: they can, or need not."""
    (old, before), (new, after) = schemas.items()
    if not rolling:
        return None
    if before != after:
        return (
            f"--rolling: the schema of {old} is {before}, that of {new} is {after}: servers of "
            "both at once would write what the other does not know; leave --rolling out, so that "
            "all are stopped while the schema job migrates"
        )
    if on_docker:
        return (
            "--rolling: on Docker `up` stops all replicas before the schema job; leave it out, or "
            "name a stack on Kubernetes"
        )
    return None


def _image(client: docker.DockerClient, stack: str, release: str) -> str:
    sources = image_sources(specification(stack, mlflow=release))
    source = sources[MLFLOW]
    if isinstance(source, str):
        raise SetupError(f"mlflow_image: {source} is not built of a release; leave it out")
    if isinstance(source, Published):
        return registry.pull(client, source.reference)
    for each in sources.values():
        if isinstance(each, BuildContext):
            build.ensure(client, each, lambda line: ui.say(stack, line))
    return source.tag


def _ask(client: docker.DockerClient, image: str) -> str:
    printed: bytes = client.containers.run(
        image,
        entrypoint=["python", "-c", HEAD],
        environment={"PYTHONPATH": PATHS},
        network_mode="none",
        read_only=True,
        tmpfs={"/tmp": ""},
        remove=True,
    )
    return printed.decode().split()[-1]
