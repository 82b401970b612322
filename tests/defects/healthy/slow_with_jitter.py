import asyncio
import random

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes up to 300 ms longer, now more, now less."""

    run = "metrics --users 6 --duration 6 --objective min_rate=10"
    says = "Nothing lost"

    def prepare(self) -> None:
        self.random = random.Random(1)

    async def answer(self, call: Call) -> Answer:
        await asyncio.sleep(self.random.uniform(0, 0.3))
        return await self.ask(call)
