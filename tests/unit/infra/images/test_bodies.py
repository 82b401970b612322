"""Bodies of requests are held within bounds, and what is too large is refused, not kept."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores.bodies import (
    Bodies,
    ClientGoneError,
    RefusedError,
    decompress,
)


def sending(*chunks: bytes) -> Callable[[], Awaitable[dict[str, Any]]]:
    """Return what receives a body in these chunks."""
    left = list(chunks)

    async def receive() -> dict[str, Any]:
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    return receive


async def read(bodies: Bodies, *chunks: bytes) -> bytes:
    async with bodies.read(sending(*chunks)) as body:
        assert bodies.held == len(body.content)
        return body.content


def test_a_body_is_whole_and_its_share_given_back() -> None:
    bodies = Bodies(10, 20)
    assert asyncio.run(read(bodies, b"12345", b"", b"67890")) == b"1234567890"
    assert bodies.held == 0


def test_a_larger_one_is_read_to_its_end_and_refused() -> None:
    bodies = Bodies(10, 20)
    receive = sending(b"12345", b"678901", b"2345", b"last")

    async def refused() -> None:
        async with bodies.read(receive):
            pytest.fail("it was taken")

    with pytest.raises(RefusedError, match="more than 10 bytes") as error:
        asyncio.run(refused())
    assert (error.value.status, bodies.held) == (413, 0)
    with pytest.raises(IndexError):
        asyncio.run(refused())


def test_what_others_hold_is_refused_for_now() -> None:
    bodies = Bodies(10, 15)

    async def both() -> None:
        async with bodies.read(sending(b"1234567890")):
            await read(bodies, b"123456")

    with pytest.raises(RefusedError) as error:
        asyncio.run(both())
    assert error.value.status == 503
    assert asyncio.run(read(bodies, b"123456")) == b"123456"


def test_a_client_that_goes_away_leaves_nothing_held() -> None:
    bodies = Bodies(10, 20)
    messages = [{"type": "http.request", "body": b"12", "more_body": True}]

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def half() -> None:
        async with bodies.read(receive):
            pytest.fail("it is not whole")

    with pytest.raises(ClientGoneError):
        asyncio.run(half())
    assert bodies.held == 0


def test_a_body_that_grows_takes_a_larger_share() -> None:
    bodies = Bodies(10, 15)

    async def grow(size: int) -> int:
        async with bodies.read(sending(b"123")) as body:
            body.replace(bytes(size))
            return bodies.held

    assert asyncio.run(grow(10)) == 10
    with pytest.raises(RefusedError):
        asyncio.run(grow(11))
    assert bodies.held == 0


RAW = zlib.compressobj(wbits=-15)
DEFLATED = RAW.compress(b"spans") + RAW.flush()


@pytest.mark.parametrize(
    ("encoding", "content", "plain"),
    [
        ("gzip", gzip.compress(b"spans"), b"spans"),
        ("gzip", gzip.compress(b"spans") + gzip.compress(b" and more"), b"spans and more"),
        ("gzip", gzip.compress(b""), b""),
        ("deflate", zlib.compress(b"spans"), b"spans"),
        ("deflate", DEFLATED, b"spans"),
    ],
    ids=["one member", "two members", "empty", "zlib", "raw deflate"],
)
def test_bodies_are_decompressed(encoding: str, content: bytes, plain: bytes) -> None:
    assert decompress(content, encoding, 100) == plain


@pytest.mark.parametrize("times", [1, 20])
def test_a_bomb_is_not_made(times: int) -> None:
    bomb = gzip.compress(bytes(2**20)) * times
    with pytest.raises(RefusedError, match="decompressed") as error:
        decompress(bomb, "gzip", 2**20 - 1 if times == 1 else 10 * 2**20)
    assert error.value.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
@pytest.mark.parametrize(
    "content", [b"", b"no", gzip.compress(b"spans")[:-3]], ids=["empty", "other", "cut off"]
)
def test_what_is_not_of_the_encoding_is_a_mistake(encoding: str, content: bytes) -> None:
    with pytest.raises(RefusedError) as error:
        decompress(content, encoding, 100)
    assert error.value.status == 400
