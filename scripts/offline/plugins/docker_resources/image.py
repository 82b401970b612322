"""`docker.Image` of stacks of earlier versions, which built their images by it."""

from collections.abc import Mapping
from typing import ClassVar

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError
from scripts.offline.plugins.protocol.resource import Call, Made
from scripts.offline.plugins.protocol.schema import Failure, Prop, text

from .shared import DockerResource


class Image(DockerResource):
    """Only taken out of a state: what is built, the program builds itself."""

    token = "docker:index/image:Image"
    table: ClassVar[Mapping[str, Prop]] = {"imageName": text(required=True)}

    def check(self, inputs: Properties) -> list[Failure]:
        """None is made any more."""
        reason = "the bundled docker plugin builds no image; use the official plugin"
        return [Failure("imageName", reason)]

    def create(self, call: Call, inputs: Properties) -> Made:
        """Never asked for, as `check` refuses."""
        raise RefusedError(self.check(inputs)[0].reason)

    def delete(self, call: Call, id_: str, state: Properties) -> None:
        """The image stays, as with the official plugin."""
