"""Kubernetes objects as property values: their ids, names, differences, and what is secret."""

import base64
import random
import secrets
from collections.abc import Iterator
from typing import Any

from kubernetes.utils import parse_quantity

from scripts.offline.plugins.protocol.codec import Properties, Secret, Unknown, reveal
from scripts.offline.plugins.protocol.names import DIGITS
from scripts.offline.plugins.protocol.states import keep_secrets

# The official plugin's own marks, so that each reads the other's state.
AUTONAMED = "pulumi.com/autonamed"
SKIP_AWAIT = "pulumi.com/skipAwait"

# What the API server writes for itself.
SERVER_FIELDS = ("creationTimestamp", "generation", "managedFields", "resourceVersion", "uid")
SECRET_FIELDS = ("data", "stringData")


def identity(body: Properties) -> str:
    """An object's id: `namespace/name`, or the name where there is no namespace."""
    metadata = body["metadata"]
    namespace = metadata.get("namespace")
    return f"{namespace}/{metadata['name']}" if namespace else str(metadata["name"])


def annotation(body: Properties, name: str) -> bool:
    """Whether an annotation says `true`."""
    metadata = body.get("metadata") or {}
    return (reveal(metadata.get("annotations")) or {}).get(name) == "true"


def with_name(old: Properties, new: Properties, urn: str, seed: bytes) -> Properties:
    """The inputs with a name: the given one, the one chosen before, or a fresh one."""
    metadata = new.get("metadata") or {}
    if isinstance(metadata, Unknown | Secret) or metadata.get("name") is not None:
        return new
    if annotation(old, AUTONAMED):
        name = old["metadata"]["name"]
    else:
        source = random.Random(seed or secrets.token_bytes(16))  # noqa: S311
        suffix = "".join(source.choice("0123456789abcdef") for _ in range(DIGITS))
        name = f"{urn.rpartition('::')[2]}-{suffix}"
    annotations = {**(metadata.get("annotations") or {}), AUTONAMED: "true"}
    return new | {"metadata": {**metadata, "name": name, "annotations": annotations}}


def guarded(body: Properties) -> Properties:
    """The object with what a Secret holds marked as secret."""
    if body.get("kind") != "Secret":
        return body
    return {
        name: Secret(value) if name in SECRET_FIELDS and not isinstance(value, Secret) else value
        for name, value in body.items()
    }


def state(inputs: Properties, live: Properties) -> Properties:
    """What the state keeps of a living object: as secret as its inputs."""
    known = {name: value for name, value in live.items() if name != "metadata"}
    metadata = {key: one for key, one in live["metadata"].items() if key != "managedFields"}
    kept: Properties = keep_secrets(inputs, known | {"metadata": metadata})
    if "stringData" in inputs:  # The API server never shows it again.
        kept["stringData"] = inputs["stringData"]
    return guarded(kept)


def changes(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Every difference, as path, former and new value; a list counts as one value.

    A value that is not known yet differs from everything.
    """
    old, new = _bare(old), _bare(new)
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*old, *(key for key in new if key not in old)]:
            inside = f"{path}.{key}" if path else key
            yield from changes(old.get(key), new.get(key), inside)
    elif isinstance(new, Unknown) or reveal(old) != reveal(new):
        yield path, old, new


def imported(live: Properties) -> Properties:
    """A living object as if someone had written it."""
    metadata = {key: one for key, one in live["metadata"].items() if key not in SERVER_FIELDS}
    return {name: one for name, one in live.items() if name != "status"} | {"metadata": metadata}


def as_found(inputs: Any, live: Any) -> Any:
    """The inputs with the values that the living object has where it differs from them.

    What the inputs do not mention is the server's affair.
    """
    if isinstance(inputs, dict) and isinstance(live, dict):
        found = {}
        for key, value in inputs.items():
            if key in live:
                found[key] = as_found(value, live[key])
            elif not value:  # The API leaves empty values out.
                found[key] = value
        return found
    if isinstance(inputs, list) and isinstance(live, list) and len(inputs) == len(live):
        return [as_found(one, other) for one, other in zip(inputs, live, strict=True)]
    return inputs if _same(inputs, live) else live


def secret_as_found(inputs: Properties, live: Properties) -> Properties:
    """The same for a Secret, whose `stringData` comes back in `data`."""
    found: Properties = as_found(inputs, live)
    given = inputs.get("stringData")
    if given is None:
        return found
    data = live.get("data") or {}
    texts = {
        key: base64.b64decode(data[key]).decode(errors="replace") for key in given if key in data
    }
    return found | {"stringData": texts}


def _bare(value: Any) -> Any:
    while isinstance(value, Secret):
        value = value.value
    return value


def _same(one: Any, other: Any) -> bool:
    """Whether two values mean the same: `1000m` is what the API server makes of `1`."""
    if one == other:
        return True
    if isinstance(one, str | int | float) and isinstance(other, str):
        try:
            return bool(parse_quantity(one) == parse_quantity(other))
        except ValueError:
            return False
    return False
