"""Property values on the wire (protobuf Struct) and in Python, with secrets and unknowns.

In Python a property value is None, bool, int, float, str, list, dict, or one of the two wrappers
below. The marks are those of the engine's marshalling rules (sdk/python `pulumi.runtime.rpc`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]

from scripts.offline.plugins.protocol.errors import RefusedError

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

Properties = dict[str, Any]


@dataclass(frozen=True)
class Secret:
    """A value that the state keeps encrypted and the console hides."""

    value: Any

    def __repr__(self) -> str:
        return "Secret(...)"


class Unknown:
    """A value that only an update will know (seen in previews)."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


def decode(struct: Struct) -> Properties:
    """A message's properties as Python values. Raises RefusedError on an asset or reference."""
    return {key: _from_wire(value) for key, value in struct.fields.items()}


def _from_wire(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        fields = value.struct_value.fields
        if SIGNATURE in fields:
            if fields[SIGNATURE].string_value != SECRET:
                raise RefusedError("assets, archives and resource references are not served here")
            return Secret(_from_wire(fields["value"]))
        return {key: _from_wire(item) for key, item in fields.items()}
    if kind == "list_value":
        return [_from_wire(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "string_value":
        return UNKNOWN if value.string_value == UNKNOWN_TEXT else value.string_value
    return value.bool_value if kind == "bool_value" else None


def encode(properties: Properties) -> Struct:
    """Python values as a message."""
    struct = Struct()
    struct.update({key: _to_wire(value) for key, value in properties.items()})
    return struct


def _to_wire(value: Any) -> Any:
    if isinstance(value, Secret):
        return {SIGNATURE: SECRET, "value": _to_wire(value.value)}
    if isinstance(value, Unknown):
        return UNKNOWN_TEXT
    if isinstance(value, dict):
        return {key: _to_wire(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_to_wire(item) for item in value]
    return value


def reveal(value: Any) -> Any:
    """The value with every Secret wrapper taken off."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in value.items()}
    if isinstance(value, list):
        return [reveal(item) for item in value]
    return value


def holds_unknown(value: Any) -> bool:
    """Whether any part of the value is not known yet."""
    if isinstance(value, Secret):
        return holds_unknown(value.value)
    if isinstance(value, dict):
        return any(holds_unknown(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_unknown(item) for item in value)
    return isinstance(value, Unknown)


def holds_secret(value: Any) -> bool:
    """Whether any part of the value is secret."""
    if isinstance(value, dict):
        return any(holds_secret(item) for item in value.values())
    if isinstance(value, list):
        return any(holds_secret(item) for item in value)
    return isinstance(value, Secret)


def secret_texts(value: Any, *, inside: bool = False) -> Iterator[str]:
    """Every text that must not be shown, given the secrets inside a value.

    Besides a secret string itself these are the parts in which it may turn up in a log: its
    lines, the value of `KEY=VALUE`, and the password of a URI.
    """
    if isinstance(value, Secret):
        yield from secret_texts(value.value, inside=True)
    elif isinstance(value, dict):
        for item in value.values():
            yield from secret_texts(item, inside=inside)
    elif isinstance(value, list):
        for item in value:
            yield from secret_texts(item, inside=inside)
    elif inside and isinstance(value, str):
        for line in {value, *value.splitlines()}:
            yield line
            _, equals, right = line.partition("=")
            if equals:
                yield right
            yield from _passwords(right if "://" in right else line)


def _passwords(text: str) -> Iterator[str]:
    if "://" not in text:
        return
    try:
        password = urlsplit(text.strip()).password
    except ValueError:
        return
    if password:
        yield password
        yield unquote(password)


def scrub(text: str, secrets: list[str]) -> str:
    """The text with every secret of at least four characters replaced by `[secret]`.

    Shorter ones would tear up ordinary words and hide nothing.
    """
    for secret in sorted({item.strip() for item in secrets}, key=len, reverse=True):
        if len(secret) >= 4:
            text = text.replace(secret, "[secret]")
    return text
