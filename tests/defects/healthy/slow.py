import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes 100 ms longer for everything."""

    run = "metrics --users 6 --duration 5"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        await asyncio.sleep(0.1)
        return await self.ask(call)
