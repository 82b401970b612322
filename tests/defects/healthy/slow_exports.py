import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes 100 ms more for spans, for which no agent waits."""

    run = "agents --users 2 --duration 4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST v1/traces":
            await asyncio.sleep(0.1)
        return await self.ask(call)
