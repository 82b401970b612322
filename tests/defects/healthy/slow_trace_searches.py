import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes 300 ms for a search of traces, of which the objective allows 2 s."""

    run = "trace-search --users 6 --duration 8 --set traces=120 --set spans=4"
    says = "Nothing lost"

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST traces/search":
            await asyncio.sleep(0.3)
        return await self.ask(call)
