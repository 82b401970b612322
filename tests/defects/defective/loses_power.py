import asyncio

from tests.defects.server import DONE, Answer, Call, Server


class Case(Server):
    """Syncs once a second; in a power cut, five seconds in, what was not synced is gone."""

    run = "metrics --users 4 --duration 3"
    says = r"metric point: \d+ lost"

    def prepare(self) -> None:
        self.cached: list[Call] = []

    async def answer(self, call: Call) -> Answer:
        if call.name == "POST runs/log-batch":
            self.cached.append(call)
            return DONE
        return await self.ask(call)

    async def beside(self) -> None:
        while not self.cached:
            await asyncio.sleep(0.1)
        since = 0
        while True:
            await asyncio.sleep(1)
            since += 1
            cached, self.cached = self.cached, []
            for call in cached if since != 5 else []:
                await self.ask(call)
