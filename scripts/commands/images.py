"""Puts the project's images into a registry: the command line of `scripts/images`.

Exit status: 0 done, 2 refused or failed.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from docker.errors import DockerException
from requests.exceptions import RequestException

from infra import releases
from infra.image import build, registry
from infra.image.context import BuildContextError, find_ca_bundle, names, stage
from infra.specification.values import REGISTRY_EXAMPLE, is_registry

FAILED = 2


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    options = _parser().parse_args(arguments)
    if not is_registry(options.registry):
        return _refuse(
            f"{options.registry!r} is not a registry and a path in it; name it as in: "
            f"scripts/images push {REGISTRY_EXAMPLE}"
        )
    known = names()
    chosen = options.names or known
    if unknown := [name for name in chosen if name not in known]:
        return _refuse(f"there is no image {unknown[0]!r}; there are {', '.join(known)}")
    if options.mlflow is not None and "mlflow" not in chosen:
        return _refuse("--mlflow is of no use: mlflow is not among the images named")
    try:
        with closing(build.connect()) as client:
            for name in chosen:
                context = stage(
                    name,
                    build.BUILD_ROOT,
                    ca_bundle=find_ca_bundle(),
                    mlflow_source=options.mlflow if name == "mlflow" else None,
                    base=options.base_image,
                )
                reference = context.in_registry(options.registry)
                if registry.has(client, reference):
                    _say(f"{reference}: is there")
                    continue
                build.ensure(client, context, _say)
                began = time.monotonic()
                registry.push(client, context, options.registry)
                _say(f"{reference}: pushed in {time.monotonic() - began:.1f} s")
    except (BuildContextError, build.BuildFailedError, registry.RegistryError) as error:
        return _refuse(str(error))
    except (DockerException, RequestException) as error:
        return _refuse(f"Docker says: {getattr(error, 'explanation', None) or error}")
    except KeyboardInterrupt:
        return _refuse("interrupted")
    if not options.names and options.mlflow is None and options.base_image is None:
        _say(f"then, for each stack: pulumi config set image_registry {options.registry}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/images")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    push = commands.add_parser(
        "push",
        help="push images to a registry",
        description="Push the project's images to a registry, for stacks with `image_registry`. "
        "What is there already is left alone, what is missing here is built. Log in before: "
        "docker login REGISTRY.",
    )
    push.add_argument("registry", metavar="REGISTRY", help=f"as {REGISTRY_EXAMPLE}")
    push.add_argument("names", metavar="NAME", nargs="*", help=f"of {', '.join(names())}")
    push.add_argument(
        "--base-image", metavar="IMAGE", help="what a stack file says of base_image, if it does"
    )
    push.add_argument(
        "--mlflow",
        metavar="MLFLOW",
        type=_mlflow,
        help="as a stack file's `mlflow`",
    )
    return parser


def _mlflow(text: str) -> str | Path:
    """Return a release, or the path of an own mlflow."""
    if text in releases.supported():
        return text
    return Path(text)


def _refuse(reason: str) -> int:
    print(f"images: {reason}", file=sys.stderr)
    return FAILED


def _say(line: str) -> None:
    print(f"images: {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
