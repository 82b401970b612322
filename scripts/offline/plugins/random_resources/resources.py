"""The resource types of `pulumi_random` that are served.

Every value comes from the system's generator. Not served, and refused by name: RandomPet (word
lists), RandomUuid7, and `seed` (the official plugin's generator cannot be reproduced here).
RandomPassword has no `bcryptHash` output: no bcrypt is among this project's dependencies.
"""

import base64
import secrets
import uuid
from collections.abc import Sequence

from scripts.offline.plugins.protocol.codec import Properties, Unknown
from scripts.offline.plugins.protocol.resource import Call, CreateResult, Resource
from scripts.offline.plugins.protocol.schema import Failure, integer, text, text_map, texts
from scripts.offline.plugins.random_resources import password

KEEPERS = {"keepers": text_map()}


class RandomString(Resource):
    """A string of random characters, shown in the clear."""

    token = "random:index/randomString:RandomString"
    table = password.TABLE | KEEPERS
    computed = ("result",)

    def check(self, inputs: Properties) -> list[Failure]:
        """The classes of characters must leave something to choose from."""
        if any(isinstance(inputs.get(name), Unknown) for name in password.TABLE):
            return []
        return password.check(inputs)

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Draw it."""
        result = password.draw(inputs)
        return CreateResult(result, self._outputs(inputs, result))

    def _outputs(self, inputs: Properties, result: str) -> Properties:
        digits = password.digits_allowed(inputs)
        return {"result": result, "numeric": digits, "number": digits}


class RandomPassword(RandomString):
    """A string of random characters that stays secret."""

    token = "random:index/randomPassword:RandomPassword"
    secret_outputs = ("result",)

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Draw it; the id must not tell it."""
        return CreateResult("none", self._outputs(inputs, password.draw(inputs)))


class RandomId(Resource):
    """Random bytes in several notations."""

    token = "random:index/randomId:RandomId"
    table = {"byteLength": integer(1, required=True), "prefix": text()} | KEEPERS
    computed = ("hex", "dec", "b64Std", "b64Url")

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Draw it."""
        drawn = secrets.token_bytes(inputs["byteLength"])
        prefix = inputs.get("prefix", "")
        url = base64.urlsafe_b64encode(drawn).decode().rstrip("=")
        return CreateResult(
            url,
            {
                "hex": prefix + drawn.hex(),
                "dec": f"{prefix}{int.from_bytes(drawn)}",
                "b64Std": prefix + base64.b64encode(drawn).decode(),
                "b64Url": prefix + url,
            },
        )


class RandomBytes(Resource):
    """Random bytes that stay secret."""

    token = "random:index/randomBytes:RandomBytes"
    table = {"length": integer(1, required=True)} | KEEPERS
    computed = ("base64", "hex")
    secret_outputs = ("base64", "hex")

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Draw them."""
        drawn = secrets.token_bytes(inputs["length"])
        outputs = {"base64": base64.b64encode(drawn).decode(), "hex": drawn.hex()}
        return CreateResult("none", outputs)


class RandomInteger(Resource):
    """An integer between two bounds, both included."""

    token = "random:index/randomInteger:RandomInteger"
    table = {"min": integer(required=True), "max": integer(required=True)} | KEEPERS
    computed = ("result",)

    def check(self, inputs: Properties) -> list[Failure]:
        """The bounds must be in order."""
        low, high = inputs["min"], inputs["max"]
        if isinstance(low, int) and isinstance(high, int) and low > high:
            return [Failure("min", f"'min' ({low}) must not be above 'max' ({high})")]
        return []

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Draw it."""
        low, high = inputs["min"], inputs["max"]
        result = low + secrets.randbelow(high - low + 1)
        return CreateResult(str(result), {"result": result})


class RandomShuffle(Resource):
    """A list in random order, or some of it."""

    token = "random:index/randomShuffle:RandomShuffle"
    table = {"inputs": texts(required=True), "resultCount": integer(0)} | KEEPERS
    computed = ("results",)

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Shuffle; a count above the list's length takes further rounds, as the official one."""
        items: list[str] = inputs["inputs"]
        count = inputs.get("resultCount", len(items))
        results: list[str] = []
        while items and len(results) < count:
            results += secrets.SystemRandom().sample(items, len(items))
        return CreateResult("-", {"results": results[:count]})


class RandomUuid(Resource):
    """A random UUID (version 4)."""

    token = "random:index/randomUuid:RandomUuid"
    table = KEEPERS
    computed = ("result",)

    def create(self, call: Call, inputs: Properties) -> CreateResult:
        """Draw it."""
        result = str(uuid.uuid4())
        return CreateResult(result, {"result": result})


class RandomUuid4(RandomUuid):
    """The same under its newer name."""

    token = "random:index/randomUuid4:RandomUuid4"


RESOURCES: Sequence[Resource] = (
    RandomString(),
    RandomPassword(),
    RandomId(),
    RandomBytes(),
    RandomInteger(),
    RandomShuffle(),
    RandomUuid(),
    RandomUuid4(),
)
