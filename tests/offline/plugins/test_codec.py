"""Property values on the wire."""

import pytest
from google.protobuf.struct_pb2 import Struct  # type: ignore[import-untyped]
from pulumi.runtime import rpc

from scripts.offline.plugins.protocol import codec
from scripts.offline.plugins.protocol.codec import UNKNOWN, Secret, decode, encode
from scripts.offline.plugins.protocol.errors import RefusedError


def test_the_marks_are_the_sdks() -> None:
    assert rpc._special_sig_key == codec.SIGNATURE
    assert rpc._special_secret_sig == codec.SECRET
    assert rpc.UNKNOWN == codec.UNKNOWN_TEXT


def test_values_survive_the_wire() -> None:
    properties = {
        "text": "t",
        "whole": 3,
        "part": 1.5,
        "yes": True,
        "nothing": None,
        "list": [1, Secret("s"), {"deep": UNKNOWN}],
        "map": {},
        "secret": Secret({"a": ["b"]}),
    }
    there = decode(encode(properties))
    assert there == properties
    assert isinstance(there["whole"], int)


def test_assets_are_refused() -> None:
    message = Struct()
    message.update({"file": {codec.SIGNATURE: "c44067f5952c0a294b673a41bacd8c17", "text": "x"}})
    with pytest.raises(RefusedError, match="assets"):
        decode(message)


def test_reveal_and_what_is_inside() -> None:
    value = {"a": [Secret({"b": Secret("c")})], "d": Secret(UNKNOWN)}
    assert codec.reveal(value) == {"a": [{"b": "c"}], "d": UNKNOWN}
    assert codec.holds_secret(value)
    assert codec.holds_unknown(value)
    assert not codec.holds_secret(codec.reveal(value))
    assert not codec.holds_unknown({"a": [Secret(1)]})


@pytest.mark.parametrize(
    ("secret", "logged", "shown"),
    [
        ("hunter22", "pw=hunter22!", "pw=[secret]!"),
        ("KEY=hunter22", "it is hunter22", "it is [secret]"),
        ("first line\nsecond line", "see second line", "see [secret]"),
        ("URI=postgresql://u:p%40ss1@h/db", "password p@ss1", "password [secret]"),
        ("postgresql://u:p%40ss1@h/db", "password p%40ss1", "password [secret]"),
        ("abc", "abc is too short to hide", "abc is too short to hide"),
        ("http://[bad", "http://[bad", "[secret]"),
    ],
)
def test_scrubbing(secret: str, logged: str, shown: str) -> None:
    texts = list(codec.secret_texts({"deep": [Secret(secret)], "plain": "password"}))
    assert codec.scrub(logged, texts) == shown


def test_a_secret_does_not_print_itself() -> None:
    assert "hunter" not in repr(Secret("hunter22"))
