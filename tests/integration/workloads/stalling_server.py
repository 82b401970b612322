"""The server that does nothing, but stands still for 200 ms in every second.

python -m tests.integration.workloads.stalling_server
"""

import asyncio
import time

from workloads.load import null_server

STALL_S = 0.2
EVERY_S = 1.0


async def stall() -> None:
    while True:
        await asyncio.sleep(EVERY_S - STALL_S)
        time.sleep(STALL_S)


async def main() -> None:
    stalling = asyncio.create_task(stall())
    await null_server.serve()
    stalling.cancel()


if __name__ == "__main__":
    asyncio.run(main())
