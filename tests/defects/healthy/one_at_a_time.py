import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Works on one call at a time, and is quick enough."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    def prepare(self) -> None:
        self.turn = asyncio.Lock()

    async def answer(self, call: Call) -> Answer:
        async with self.turn:
            return await self.ask(call)
