"""Builds the images of stacks on Docker ahead of their deployment.

`python -m infra.docker.ahead local single-az`; a deployment then finds them by their tags.
"""

import json
import os
import signal
import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing

from docker.errors import DockerException
from requests.exceptions import RequestException

from infra import stack_file
from infra.image import build
from infra.image.context import PROJECT, BuildContext, BuildContextError
from infra.image.source import image_sources
from infra.outputs import Platform
from infra.specification.deployment import DeploymentSpec
from infra.specification.error import SpecError
from infra.specification.load import PROJECT as NAMESPACE
from infra.specification.load import load_spec
from infra.stack_file import StackFileError

FAILED = 2
SECURE = '"secure": '
"""In a value that is encrypted, wholly or in part, as JSON."""


def specification(stack: str, **changes: str) -> DeploymentSpec:
    """Return what a stack file describes; an encrypted value is only known to be there.

    `changes` are keys of the project, as `mlflow`, in the place of those in the file. Raises
    `StackFileError`, and `SpecError`, also for a value that cannot be judged encrypted.
    """
    config = stack_file.read(PROJECT / "stacks" / f"Pulumi.{stack}.yaml")
    values = {key: _as_text(value) for key, value in config.items()}
    values |= {f"{NAMESPACE}:{key}": value for key, value in changes.items()}
    return load_spec(values, PROJECT, {key for key, text in values.items() if SECURE in text})


def contexts(stacks: Collection[str]) -> list[BuildContext]:
    """Return what is to be built for these stacks, each thing once.

    A stack on a cluster has none, and neither has one whose file is judged only when it is
    decrypted, or wrong: `pulumi up` says so. Raises `BuildContextError`.
    """
    by_tag: dict[str, BuildContext] = {}
    for stack in stacks:
        try:
            spec = specification(stack)
        except (StackFileError, SpecError):
            continue
        if spec.platform is Platform.DOCKER:
            sources = image_sources(spec).values()
            by_tag |= {source.tag: source for source in sources if isinstance(source, BuildContext)}
    return list(by_tag.values())


def main(stacks: Collection[str]) -> int:
    """Build them all at the same time, until one fails; return the exit status."""
    try:
        needed = contexts(stacks)
        pool = ThreadPoolExecutor(max(1, len(needed)))
        for ended in as_completed([pool.submit(_build, context) for context in needed]):
            ended.result()
    except (BuildContextError, build.BuildFailedError) as error:
        return _fail(str(error))
    except (DockerException, RequestException) as error:
        return _fail(f"Docker says: {getattr(error, 'explanation', None) or error}")
    return 0


def _build(context: BuildContext) -> None:
    with closing(build.connect()) as client:
        build.ensure(client, context, _print)


def _as_text(value: object) -> str:
    """Write a value as Pulumi hands it over."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _fail(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    sys.stderr.flush()
    return FAILED


if __name__ == "__main__":
    # At an interrupt or a failure nothing waits for the builds under way: the engine ends those
    # whose client has gone.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os._exit(main(sys.argv[1:]))
