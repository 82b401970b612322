"""Automatic physical names, as the official providers make them: `<logical name>-<7 hex>`."""

import random
import secrets
from typing import Any

from scripts.offline.plugins.protocol.codec import Properties
from scripts.offline.plugins.protocol.errors import RefusedError

DIGITS = 7
# Marks, in the inputs that the state keeps, the ones which the plugin chose.
CHOSEN = "__defaults"


def fill_name(old: Properties, new: Properties, request: Any) -> Properties:
    """The new inputs with a name: the given one, the one chosen before, or a fresh one.

    `request` is the CheckRequest, which carries the engine's seed and naming configuration.
    Raises RefusedError when the project forbids automatic names.
    """
    if new.get("name") is not None:
        return new
    if "name" in (old.get(CHOSEN) or []):
        return new | {"name": old["name"], CHOSEN: ["name"]}
    naming = request.autonaming if request.HasField("autonaming") else None
    if naming is not None and naming.mode == naming.DISABLE:
        raise RefusedError("automatic names are disabled in this project: give a 'name'")
    if naming is not None and naming.mode == naming.ENFORCE:
        return new | {"name": naming.proposed_name, CHOSEN: ["name"]}
    # The engine's seed makes the name the same on every check of one update.
    source = random.Random(request.randomSeed or secrets.token_bytes(16))  # noqa: S311
    suffix = "".join(source.choice("0123456789abcdef") for _ in range(DIGITS))
    return new | {"name": f"{request.urn.rpartition('::')[2]}-{suffix}", CHOSEN: ["name"]}
