"""What BuildKit tells of a build, as it was received from an engine."""

import pytest

from infra.image import buildkit

TIME = b"\x08\xe8\xee\xa9\xd8\x06\x10\x8b\x83\xf0\x75"


def field(number: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def vertex(name: bytes, *, started: bool, completed: bool) -> bytes:
    return field(
        1,
        field(1, b"sha256:0")
        + field(3, name)
        + (b"\x20\x01")  # cached: a varint
        + (field(5, TIME) if started else b"")
        + (field(6, TIME) if completed else b""),
    )


LOG = field(3, field(1, b"sha256:0") + field(2, TIME) + b"\x18\x01" + field(4, b"one\ntwo\n"))


@pytest.mark.parametrize(
    ("message", "told"),
    [
        (b"", []),
        (vertex(b"[1/2] FROM x", started=True, completed=False), [("[1/2] FROM x", True)]),
        (vertex(b"[1/2] FROM x", started=False, completed=False), []),
        (vertex(b"[1/2] FROM x", started=True, completed=True), []),
        (LOG, [("one", False), ("two", False)]),
        (
            LOG + vertex(b"[2/2] RUN y", started=True, completed=False),
            [("one", False), ("two", False), ("[2/2] RUN y", True)],
        ),
        (b"\x09" + b"\0" * 8 + b"\x0d" + b"\0" * 4 + LOG, [("one", False), ("two", False)]),
        (b"\x07", []),
    ],
)
def test_steps_and_output(message: bytes, told: list[tuple[str, bool]]) -> None:
    assert list(buildkit.progress(message)) == told
