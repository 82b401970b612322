import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes 1.2 s for one call in eight."""

    run = "metrics --users 8 --duration 5"
    says = r"p95 of API calls is \d+ ms"

    async def answer(self, call: Call) -> Answer:
        if self.every(8):
            await asyncio.sleep(1.2)
        return await self.ask(call)
