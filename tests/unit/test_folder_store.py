"""What a folder is given to write: the pieces of a request, put together."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores.folder import BLOCK, blocks


def collected(pieces: list[bytes]) -> list[bytes]:
    async def stream() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async def all_of() -> list[bytes]:
        return [block async for block in blocks(stream())]

    return asyncio.run(all_of())


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([10], [10]),
        ([BLOCK], [BLOCK]),
        ([2**16] * 16, [BLOCK]),
        ([2**16] * 17, [BLOCK, 2**16]),
        ([3 * BLOCK, 1], [3 * BLOCK, 1]),
        ([1, BLOCK, 1], [BLOCK + 1, 1]),
    ],
    ids=str,
)
def test_small_pieces_become_large_ones_and_nothing_is_changed(
    sizes: list[int], expected: list[int]
) -> None:
    pieces = [random.Random(7).randbytes(size) for size in sizes]
    found = collected(pieces)
    assert [len(block) for block in found] == expected
    assert b"".join(found) == b"".join(pieces)
