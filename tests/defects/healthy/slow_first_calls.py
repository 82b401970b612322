import asyncio

from tests.defects.server import Answer, Call, Server


class Case(Server):
    """Takes a second for the first calls of each kind, as a server that has just started."""

    run = "metrics --users 4 --duration 4"
    says = "Nothing lost"

    def prepare(self) -> None:
        self.known: set[str] = set()

    async def answer(self, call: Call) -> Answer:
        if call.name not in self.known:
            await asyncio.sleep(1)
            self.known.add(call.name)
        return await self.ask(call)
