"""Random strings from classes of characters, with a minimum from each class."""

import secrets
import string

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.schema import Failure, boolean, integer, text

SPECIAL = "!@#$%&*()-_=+[]{}<>:?"


def _not_empty(value: str) -> str | None:
    # The official plugin keeps the string when an empty one is left out.
    return None if value else "must not be empty: leave it out"


TABLE = {
    "length": integer(1, required=True),
    "lower": boolean(default=True),
    "upper": boolean(default=True),
    "special": boolean(default=True),
    # `number` is the old name of `numeric`; either may be given.
    "numeric": boolean(),
    "number": boolean(),
    "minLower": integer(0, default=0),
    "minUpper": integer(0, default=0),
    "minNumeric": integer(0, default=0),
    "minSpecial": integer(0, default=0),
    "overrideSpecial": text(rule=_not_empty),
}


def digits_allowed(inputs: Properties) -> bool:
    """Whether digits may occur, by whichever name that was said; they may by default."""
    settings = [inputs[name] for name in ("numeric", "number") if inputs.get(name) is not None]
    return settings[0] if settings else True


def check(inputs: Properties) -> list[Failure]:
    """What makes the string impossible. Inputs are revealed and known."""
    numeric, number = inputs.get("numeric"), inputs.get("number")
    if None not in (numeric, number) and numeric != number:
        return [Failure("number", "'number' and 'numeric' are one setting: give only 'numeric'")]
    if not any(_classes(inputs).values()):
        return [Failure("length", "no class of characters is allowed")]
    for name, characters in _classes(inputs).items():
        if inputs.get(name, 0) and not characters:
            return [Failure(name, f"'{name}' asks for characters that are not allowed")]
    least = sum(inputs.get(name) or 0 for name in _classes(inputs))
    if least > inputs["length"]:
        return [Failure("length", f"'length' is below the sum of the minimums, {least}")]
    return []


def draw(inputs: Properties) -> str:
    """A string as the inputs describe it."""
    classes = _classes(inputs)
    drawn = [
        secrets.choice(characters)
        for name, characters in classes.items()
        for _ in range(inputs.get(name) or 0)
    ]
    every = "".join(classes.values())
    drawn += [secrets.choice(every) for _ in range(inputs["length"] - len(drawn))]
    secrets.SystemRandom().shuffle(drawn)
    return "".join(drawn)


def _classes(inputs: Properties) -> dict[str, str]:
    """The characters allowed, under the name of the property with their minimum."""
    special = inputs.get("overrideSpecial") or SPECIAL

    def allowed(name: str, characters: str) -> str:
        return characters if inputs.get(name) is not False else ""

    return {
        "minLower": allowed("lower", string.ascii_lowercase),
        "minUpper": allowed("upper", string.ascii_uppercase),
        "minNumeric": string.digits if digits_allowed(inputs) else "",
        "minSpecial": allowed("special", special),
    }
