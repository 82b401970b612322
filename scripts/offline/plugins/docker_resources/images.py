"""Finding an image: here, or by pulling it."""

from typing import Any

from docker.errors import APIError, ImageNotFound

from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call


def find(api: Any, reference: str) -> dict[str, Any] | None:
    """The image of this name or id, or None."""
    try:
        found: dict[str, Any] = api.inspect_image(reference)
    except ImageNotFound:
        return None
    return found


def find_or_pull(
    call: Call, api: Any, reference: str, platform: str | None = None
) -> dict[str, Any]:
    """The image, pulled when it is not here. Raises RefusedError when that fails."""
    if (found := find(api, reference)) is not None:
        return found
    if reference.startswith("sha256:"):
        raise RefusedError(
            f"image {reference} is not here any more: "
            "`pulumi refresh` notices that, the next `pulumi up` makes it again"
        )
    call.status(f"pulling {reference}")
    try:
        # A reference without tag would pull every tag.
        last = reference.rpartition("/")[2]
        name = reference if ":" in last or "@" in last else f"{reference}:latest"
        # The official plugin pulls as nobody, too, whoever `docker login` has logged in.
        for line in api.pull(name, stream=True, decode=True, platform=platform, auth_config={}):
            call.proceed()
            if "error" in line:
                raise RefusedError(line["error"])
            call.status(f"pulling {reference}: {line.get('status', '')}")
    except (APIError, RefusedError) as problem:
        call.proceed()
        reason = getattr(problem, "explanation", None) or str(problem)
        raise RefusedError(
            f"image {reference} is not here and cannot be pulled ({reason}): "
            "build or load it under this name, or name one that is here"
        ) from None
    if (found := find(api, reference)) is None:
        raise RefusedError(f"image {reference} was pulled but is not here")
    return found
