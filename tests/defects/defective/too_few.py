import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Works on one call at a time, eight in a second."""

    run = "metrics --users 4 --duration 8"
    says = r"\d API calls/s with 4 users; the objective is 20"

    def prepare(self) -> None:
        self.turn = asyncio.Lock()

    async def answer(self, call: Call) -> Answer:
        if not call.name.startswith("POST runs/"):
            return await self.ask(call)
        async with self.turn:
            await asyncio.sleep(0.12)
            return await self.ask(call)
