import asyncio
import time

from tests.defects.server import Answer, Call, Server

EVERY_S, STILL_S = 5.0, 2.0


class Case(Server):
    """Accepts and answers nothing for 2 s in every 5 s, as a long garbage collection does."""

    run = "metrics --users 32 --rate 20 --duration 10"
    says = r"p95 of API calls is \d+ ms"

    async def answer(self, call: Call) -> Answer:
        left = STILL_S - time.monotonic() % EVERY_S
        if left > 0:
            await asyncio.sleep(left)
        return await self.ask(call)
