import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes a little longer with every call, and stays within the objectives."""

    run = "metrics --users 4 --duration 6"
    says = "Nothing lost"

    calls = 0

    async def answer(self, call: Call) -> Answer:
        self.calls += 1
        await asyncio.sleep(0.0003 * self.calls)
        return await self.ask(call)
