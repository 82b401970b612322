import asyncio
import time

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Stands still for 150 ms in every second, within the objectives."""

    run = "metrics --users 32 --rate 25 --duration 10 --objective min_rate=15"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        left = 0.15 - time.monotonic() % 1
        if left > 0:
            await asyncio.sleep(left)
        return await self.ask(call)
