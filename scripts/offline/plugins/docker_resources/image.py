"""`docker.Image` of stacks of earlier versions, which built their images by it."""

from collections.abc import Mapping
from typing import ClassVar

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call, Made
from scripts.offline.plugins.protocol.schema import Prop, text

from .shared import DockerResource

REASON = "cannot be built: the bundled docker plugin builds no image"


class Image(DockerResource):
    """Only taken out of a state: what is built, the program builds itself."""

    token = "docker:index/image:Image"
    table: ClassVar[Mapping[str, Prop]] = {"imageName": text(required=True, rule=lambda _: REASON)}

    def create(self, call: Call, inputs: Properties) -> Made:
        """Reached by a name that was not known when it was checked."""
        raise RefusedError(REASON)

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """The image stays, as with the official plugin."""
