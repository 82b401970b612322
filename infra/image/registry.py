"""The project's images in a registry.

The engine asks the registry, with the credentials of `docker login`: it knows which registries are
insecure, and their certificates.
"""

import shlex
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound

from infra.image.context import BuildContext

_NOT_THERE = ("manifest unknown", "not found", "name unknown", "does not exist")
_NO_ACCESS = ("unauthorized", "denied", "no basic auth", "authentication required")


class RegistryError(Exception):
    """A registry does not do what is needed; the message is one line."""


def image_id(client: docker.DockerClient, reference: str) -> str | None:
    """Return the id of an image that the engine has; None where it has none of this name or id."""
    try:
        return str(client.images.get(reference).id)
    except ImageNotFound:
        return None


def host(reference: str) -> str:
    """Return what `docker login` takes; a name without a registry is one of Docker Hub's."""
    first, slash, _ = reference.partition("/")
    return (
        first if slash and ("." in first or ":" in first or first == "localhost") else "docker.io"
    )


def has(client: docker.DockerClient, reference: str) -> bool:
    """Return whether a registry has an image that this engine can run.

    Raises `RegistryError` when it does not answer, refuses, or has it for other processors only.
    """
    try:
        api: Any = client.api
        description: dict[str, Any] = api.inspect_distribution(reference)
    except DockerException as error:
        if isinstance(error, APIError) and _is_absent(error):
            return False
        raise _refused(reference, "cannot be looked up", error) from None
    architecture = processor(client)
    offered = {str(platform.get("architecture")) for platform in description.get("Platforms") or ()}
    if offered and architecture not in offered:
        raise RegistryError(
            f"{reference}: is for {', '.join(sorted(offered))}, and the engine runs "
            f"{architecture}; push from a machine of that kind, to another path of the registry"
        )
    return True


def processor(client: docker.DockerClient) -> str:
    """Return the engine's architecture as images name it, `amd64`."""
    return str(client.version()["Arch"])


def pull(client: docker.DockerClient, reference: str) -> str:
    """Pull an image unless the engine has one of this name; return its id.

    Raises `RegistryError` when it cannot be pulled.
    """
    identifier = image_id(client, reference)
    if identifier is None:
        try:
            client.images.pull(reference)
        except DockerException as error:
            raise _refused(reference, "is not here and cannot be pulled", error) from None
        identifier = image_id(client, reference)
    if identifier is None:
        raise RegistryError(f"{reference}: was pulled and is not there; pull it again")
    return identifier


def push(client: docker.DockerClient, context: BuildContext, registry: str) -> str:
    """Push an image that the engine has; return its reference. Raises `RegistryError`."""
    reference = context.in_registry(registry)
    kept = image_id(client, reference) is not None
    repository, _, tag = reference.rpartition(":")
    client.images.get(context.tag).tag(repository, tag)
    try:
        lines = list(client.api.push(repository, tag, stream=True, decode=True))
    except DockerException as error:
        raise _refused(reference, "cannot be pushed", error) from None
    finally:
        # The name was only for the push.
        if not kept:
            client.images.remove(reference, noprune=True)
    for line in lines:
        if "error" in line:
            raise _refused(reference, "cannot be pushed", str(line["error"]))
    return reference


def missing(
    client: docker.DockerClient, registry: str, contexts: Iterable[BuildContext]
) -> list[str]:
    """Return the names of the images that neither the engine nor the registry has.

    Raises `RegistryError`, see `has`.
    """
    absent = []
    for context in contexts:
        reference = context.in_registry(registry)
        if image_id(client, reference) is None and not has(client, reference):
            absent.append(context.name)
    return absent


def push_command(
    registry: str, names: Iterable[str], base: str | None, mlflow: str | Path | None
) -> str:
    """Return the command that pushes images of these names."""
    words = ["scripts/images", "push", registry, *names]
    words += ["--base-image", base] if base else []
    words += ["--mlflow", str(mlflow)] if mlflow else []
    return shlex.join(words)


def _is_absent(error: APIError) -> bool:
    message = str(error.explanation or error).lower()
    return error.status_code == 404 or any(word in message for word in _NOT_THERE)


def _refused(reference: str, what: str, error: Exception | str) -> RegistryError:
    """Return an error with what failed, why, and the remedy."""
    explanation = error.explanation if isinstance(error, APIError) else None
    reason = next(iter(str(explanation or error).strip().splitlines()), "no word")
    where = host(reference)
    remedy = f"see that {where} runs, and that the name is right"
    if any(word in reason.lower() for word in _NO_ACCESS):
        remedy = f"see that the name is right, and log in: docker login {where}"
    return RegistryError(f"{reference}: {what} ({reason}); {remedy}")
