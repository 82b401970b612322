"""`docker.RemoteImage`, what is left of `docker.Image`, and how an image is found."""

from collections.abc import Mapping
from typing import Any, ClassVar

from docker.errors import APIError, ImageNotFound

from scripts.offline.plugins.docker_resources.shared import DockerResource
from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call, CreateResult, ReadResult
from scripts.offline.plugins.protocol.schema import Change, Prop, boolean, text, text_map, texts

REASON = "cannot be built: the bundled docker plugin builds no image"


class Image(DockerResource):
    """Only taken out of the state of an earlier version: the program builds its images itself."""

    token = "docker:index/image:Image"
    table: ClassVar[Mapping[str, Prop]] = {"imageName": text(required=True, rule=lambda _: REASON)}

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Reached by a name that was not known when it was checked."""
        raise RefusedError(REASON)

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """The image stays, as with the official plugin."""


class RemoteImage(DockerResource):
    """An image that must be here; present ones are used without a pull."""

    token = "docker:index/remoteImage:RemoteImage"
    computed = ("imageId", "repoDigest")
    delete_before_replace = False
    table: ClassVar[Mapping[str, Prop]] = {
        "name": text(required=True),
        "platform": text(),
        "pullTriggers": texts(unordered=True),
        "triggers": text_map(),
        "keepLocally": boolean(default=False, change=Change.UPDATE),
        "forceRemove": boolean(default=False, change=Change.UPDATE),
    }

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Find or pull it."""
        image = find_or_pull(call, self.api, inputs["name"], inputs.get("platform"))
        return CreateResult(image["Id"] + inputs["name"], _outputs(image))

    def read(
        self, call: Call, id_: str, inputs: Properties | None, state: Properties
    ) -> ReadResult | None:
        """Whatever image has the name now."""
        if inputs is None:
            return super().read(call, id_, inputs, state)
        image = find(self.api, inputs["name"])
        if image is None:
            return None
        return ReadResult(image["Id"] + inputs["name"], inputs, _outputs(image))

    def update(
        self, call: Call, id_: str, old: Properties, new: Properties, state: Properties
    ) -> Properties:
        """Only what deletion does can change."""
        return {name: state[name] for name in self.computed}

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """Remove the image unless it is to stay."""
        if not state["keepLocally"] and find(self.api, state["name"]) is not None:
            self.api.remove_image(state["name"], force=state["forceRemove"])


def _outputs(image: dict[str, object]) -> Properties:
    digests = image.get("RepoDigests")
    first = digests[0] if isinstance(digests, list) and digests else ""
    return {"imageId": image["Id"], "repoDigest": first}


def find(api: Any, reference: str) -> dict[str, Any] | None:
    """The image of this name or id, or None."""
    try:
        image: dict[str, Any] = api.inspect_image(reference)
    except ImageNotFound:
        return None
    return image


def find_or_pull(
    call: Call, api: Any, reference: str, platform: str | None = None
) -> dict[str, Any]:
    """The image, pulled when it is not here. Raises RefusedError when that fails."""
    if (image := find(api, reference)) is not None:
        return image
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
    if (image := find(api, reference)) is None:
        raise RefusedError(f"image {reference} was pulled but is not here")
    return image
