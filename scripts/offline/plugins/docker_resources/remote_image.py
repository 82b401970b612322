"""`docker.RemoteImage`: an image from a registry, or one that is here already."""

from collections.abc import Mapping
from typing import ClassVar

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.resource import Call, Found, Made
from scripts.offline.plugins.protocol.schema import Change, Prop, boolean, text, text_map, texts

from . import images
from .shared import DockerResource


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

    def create(self, call: Call, inputs: Properties) -> Made:
        """Find or pull it."""
        image = images.find_or_pull(call, self.api, inputs["name"], inputs.get("platform"))
        return Made(image["Id"] + inputs["name"], _outputs(image))

    def read(
        self, call: Call, id_: str, inputs: Properties | None, state: Properties
    ) -> Found | None:
        """Whatever image has the name now."""
        if inputs is None:
            return super().read(call, id_, inputs, state)
        image = images.find(self.api, inputs["name"])
        if image is None:
            return None
        return Found(image["Id"] + inputs["name"], inputs, _outputs(image))

    def update(
        self, call: Call, id_: str, old: Properties, new: Properties, state: Properties
    ) -> Properties:
        """Only what deletion does can change."""
        return {name: state[name] for name in self.computed}

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """Remove the image unless it is to stay."""
        if not state["keepLocally"] and images.find(self.api, state["name"]) is not None:
            self.api.remove_image(state["name"], force=state["forceRemove"])


def _outputs(image: dict[str, object]) -> Properties:
    digests = image.get("RepoDigests")
    first = digests[0] if isinstance(digests, list) and digests else ""
    return {"imageId": image["Id"], "repoDigest": first}
