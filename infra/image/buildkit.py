"""BuildKit's progress of a build: protobuf messages, `StatusResponse` of moby/buildkit's API."""

from collections.abc import Iterator

# Numbers of the fields that are read here, by message.
_VERTEXES, _LOGS = 1, 3
_VERTEX_NAME, _VERTEX_STARTED, _VERTEX_COMPLETED = 3, 5, 6
_LOG_TEXT = 4

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def progress(message: bytes) -> Iterator[tuple[str, bool]]:
    """Yield each line of a message; True: it names a step that has begun, False: it is output."""
    for number, part in _fields(message):
        if number == _VERTEXES:
            vertex = dict(_fields(part))
            name = vertex.get(_VERTEX_NAME, b"").decode(errors="replace")
            if _VERTEX_STARTED in vertex and _VERTEX_COMPLETED not in vertex:
                yield name, True
        elif number == _LOGS:
            text = dict(_fields(part)).get(_LOG_TEXT, b"").decode(errors="replace")
            yield from ((line, False) for line in text.splitlines())


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the number and the bytes of each field that has bytes; the others are passed over."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == _BYTES:
            length, at = _varint(message, at)
            yield key >> 3, message[at : at + length]
            at += length
        elif kind == _VARINT:
            _, at = _varint(message, at)
        elif kind in (_FIXED64, _FIXED32):
            at += 8 if kind == _FIXED64 else 4
        else:
            return


def _varint(message: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, and the place after it."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        shift, at = shift + 7, at + 1
        if not byte & 0x80:
            break
    return value, at
