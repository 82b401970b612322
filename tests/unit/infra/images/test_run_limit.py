"""Writes to one run wait for each other, and for nothing else."""

import asyncio
import json

import pytest

from infra.images.mlflow.stores.mlflow_bench_stores.run_limit import RunLimit

LOG = "/api/2.0/mlflow/runs/log-batch"
RUN = json.dumps({"run_id": "a" * 32, "metrics": []}).encode()


async def at_once(path: str, bodies: list[bytes], limit: RunLimit) -> int:
    """Return how many of the requests are let in while none of them ends."""
    inside, end = 0, asyncio.Event()

    async def write(body: bytes) -> None:
        nonlocal inside
        async with limit.turn(path, body):
            inside += 1
            await end.wait()

    tasks = [asyncio.create_task(write(body)) for body in bodies]
    for _ in range(3):
        await asyncio.sleep(0)
    held = inside
    end.set()
    await asyncio.gather(*tasks)
    assert inside == len(bodies)
    return held


@pytest.mark.parametrize(
    ("path", "bodies", "most"),
    [
        (LOG, [RUN] * 5, 2),
        ("/ajax-api/2.0/mlflow/runs/set-tag", [RUN] * 5, 2),
        ("/api/2.0/mlflow/runs/update", [b'{"run_uuid" : "x"}'] * 5, 2),
        (LOG, [json.dumps({"run_id": str(i)}).encode() for i in range(5)], 5),
        ("/api/2.0/mlflow/runs/search", [b'{"experiment_ids": ["0"]}'] * 5, 5),
        ("/api/2.0/mlflow/runs/create", [b'{"experiment_id": "0"}'] * 5, 5),
        ("/api/2.0/mlflow/logged-models", [RUN] * 5, 5),
        (LOG, [b"\xff not JSON"] * 5, 5),
    ],
)
def test_who_waits(path: str, bodies: list[bytes], most: int) -> None:
    assert asyncio.run(at_once(path, bodies, RunLimit())) == most


def test_nothing_is_kept_of_a_run_that_nobody_writes_to() -> None:
    limit = RunLimit(most=1)

    async def fail() -> None:
        async with limit.turn(LOG, RUN):
            raise OSError("broken")

    async def given_up() -> None:
        async with limit.turn(LOG, RUN):
            waiting = asyncio.create_task(limit.turn(LOG, RUN).__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting

    with pytest.raises(OSError, match="broken"):
        asyncio.run(fail())
    asyncio.run(given_up())
    assert not limit._turns
    assert not limit._inside
